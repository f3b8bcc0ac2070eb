package worker

// Calls of two sorts show whether the account works: those that write contacts and accounts, and all others. Reads can go on
// working while all writes fail, and activities and events have addresses of their own. So a success of the first sort ends both
// streaks of failures, and one of the second sort only its own.

// streak is the failures of one sort of calls since a success that speaks for them.
type streak struct {
	failures int
	users    map[string]bool
	own      ownTrouble
}

func (s *streak) add(user string) {
	if s.users == nil {
		s.users = map[string]bool{}
	}
	s.failures++
	if len(s.users) < ownMost {
		s.users[user] = true
	}
}

func (s *streak) end() {
	s.failures = 0
	clear(s.users)
}

// with is how many users there are in both.
func (s *streak) with(other streak) int {
	n := len(s.users)
	for user := range other.users {
		if !s.users[user] {
			n++
		}
	}
	return n
}
