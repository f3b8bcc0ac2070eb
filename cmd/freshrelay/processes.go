package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/freshrelay/freshrelay/admin"
)

// printProcesses shows who shares the store and whose each partition is; nothing with the embedded broker.
func (p *program) printProcesses(st admin.Status, now time.Time) {
	title := "processes"
	for _, proc := range st.Processes {
		what := partitions(proc.Partitions)
		if len(proc.Partitions) == 0 {
			what = "no partition"
		}
		note := ""
		switch {
		case proc.Self:
			note = "   this one"
		case proc.Silent:
			note = "   " + p.loud("no sign for "+ago(now, proc.Seen)) + ": it has ended without a word, stands still or is cut off"
		}
		fmt.Fprintf(p.stdout, "%-12s%s pid %d   %s   %s%s\n", title, clean(cmp.Or(proc.Host, "?"), 40), proc.PID, clean(cmp.Or(proc.Role, "?"), 10), what, note)
		title = ""
	}
	if len(st.Unowned) > 0 {
		fmt.Fprintf(p.stdout, "%-12s%s: what comes there waits until a process that delivers takes it, within 45 s if there is one\n",
			"", p.loud("nobody owns "+partitions(st.Unowned)))
	}
}

// partitions names some, runs of them in short.
func partitions(numbers []int) string {
	var parts []string
	for i := 0; i < len(numbers); {
		j := i
		for j+1 < len(numbers) && numbers[j+1] == numbers[j]+1 {
			j++
		}
		switch j - i {
		case 0:
			parts = append(parts, fmt.Sprint(numbers[i]))
		case 1:
			parts = append(parts, fmt.Sprint(numbers[i]), fmt.Sprint(numbers[j]))
		default:
			parts = append(parts, fmt.Sprintf("%d-%d", numbers[i], numbers[j]))
		}
		i = j + 1
	}
	word := "partitions "
	if len(numbers) == 1 {
		word = "partition "
	}
	return word + strings.Join(parts, ", ")
}
