package queue_test

import (
	"fmt"
	"testing"

	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/queue/queuetest"
)

// Every list has all letters that stay, however many others are removed meanwhile: also those after which the broker, which counts a
// removed one out twice then, says that none is left.
func TestAListHasTheLettersThatStay(t *testing.T) {
	run(t, func(t *testing.T, dir string) {
		s := queuetest.Open(t, dir)
		p := s.Partition()
		put := func(n int) string {
			t.Helper()
			l := queue.Letter{User: s.User("a"), Position: uint64(1000 + n), Event: make([]byte, 4<<10)}
			if err := p.PutLetter(t.Context(), l, false); err != nil {
				t.Fatal(err)
			}
			return fmt.Sprintf("%s.%d", l.User, l.Position)
		}
		const stay, going = 3, 200
		for n := range stay {
			put(n)
		}
		last, err := s.LastLetter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, user := range []string{"", s.User("a")} {
			short, lists := 0, 0
			for n := range going {
				id, dropped := put(stay+n), make(chan error)
				go func() { dropped <- p.DropLetter(t.Context(), id) }()
				for over := false; !over; lists++ {
					letters, _, err := s.LettersFrom(t.Context(), queue.LetterFilter{User: user}, 1, last, stay)
					if err != nil {
						t.Fatal(err)
					}
					if len(letters) != stay {
						short++
					}
					select {
					case err := <-dropped:
						if over = true; err != nil {
							t.Fatal(err)
						}
					default:
					}
				}
			}
			if short > 0 {
				t.Errorf("%d of %d lists end before the last letter", short, lists)
			}
		}
	})
}
