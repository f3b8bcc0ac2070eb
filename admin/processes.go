package admin

import (
	"slices"
	"time"

	"github.com/freshrelay/freshrelay/queue"
)

// Process is one of those that share a store on NATS servers.
type Process struct {
	ID         string    `json:"id"`
	Host       string    `json:"host"`
	PID        int       `json:"pid"`
	Role       string    `json:"role"` // all, ingest or worker
	Started    time.Time `json:"started"`
	Seen       time.Time `json:"seen"`       // its last sign
	Silent     bool      `json:"silent"`     // no sign for a lease time: it has ended without a word, stands still or is cut off
	Self       bool      `json:"self"`       // it is the one that answers
	Partitions []int     `json:"partitions"` // that it owns
}

// processes lists those that share the store. An owner that has not announced itself is one, too.
func processes(around queue.Sharing) []Process {
	owned := map[string][]int{}
	for n, owner := range around.Owners {
		owned[owner] = append(owned[owner], n)
	}
	list := []Process{}
	for _, p := range around.Processes {
		list = append(list, Process{
			ID: p.ID, Host: p.Host, PID: p.PID, Role: p.Role, Started: p.Started, Seen: p.Seen, Silent: p.Silent, Self: p.Self,
			Partitions: append([]int{}, owned[p.ID]...),
		})
		delete(owned, p.ID)
	}
	for id, numbers := range owned {
		list = append(list, Process{ID: id, Partitions: numbers})
	}
	for _, p := range list {
		slices.Sort(p.Partitions)
	}
	return list
}
