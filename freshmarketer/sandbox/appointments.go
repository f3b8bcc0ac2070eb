package sandbox

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// serveAppointments does POST, GET, PUT and DELETE on /appointments. Source: seen live: 201 on create and 200 on update, one text
// for each field that is missing, and the 400 for a time zone that is no Rails name. The rest is inferred from tasks.
func (s *Sandbox) serveAppointments(rq request) answer {
	return s.servePlan(rq, plan{name: "appointment", firstID: firstAppointmentID, rows: &s.appointments, problems: s.appointmentProblems})
}

func (s *Sandbox) appointmentProblems(in map[string]any) (problems []string) {
	for _, key := range []string{"title", "from_date", "end_date"} {
		if v := in[key]; v == nil || strings.TrimSpace(fmt.Sprint(v)) == "" {
			problems = append(problems, s.say(cannotBeBlank, spokenKey(key)))
			continue
		}
		text, _ := in[key].(string)
		if _, err := time.Parse(time.RFC3339, text); err != nil && key != "title" {
			problems = append(problems, s.say(invalidChoice, strings.ToLower(spokenKey(key))))
		}
	}
	if zone := in["time_zone"]; zone != nil && !slices.ContainsFunc(timeZoneChoices(), func(c choice) bool { return c.ID == zone }) {
		problems = append(problems, s.say(badTimeZone))
	}
	return append(problems, s.badIDs(in)...)
}

// Appointments returns the appointments that are not deleted, oldest first.
func (s *Sandbox) Appointments() []Activity {
	s.mu.Lock()
	defer s.mu.Unlock()
	return living(s.appointments)
}
