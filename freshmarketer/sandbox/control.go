package sandbox

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
)

// serveControl is the part that no real account has: it needs no key, shows what is inside and takes faults.
//
//	GET    /_sandbox/contacts   the live contacts, by id
//	GET    /_sandbox/calls      the last calls, oldest first
//	GET    /_sandbox/writes     how many writes of contacts took effect, by operation
//	GET    /_sandbox/changes?contact=ID   who changed which field, if that is kept
//	GET    /_sandbox/accounts   the live sales accounts
//	GET    /_sandbox/activities the sales activities
//	GET    /_sandbox/events     the custom events
//	GET    /_sandbox/tracked    the calls below /track/
//	GET    /_sandbox/mails      the transactional messages of the classic API
//	GET    /_sandbox/faults     the active faults
//	POST   /_sandbox/faults     add one, see Fault
//	DELETE /_sandbox/faults     clear them
func (s *Sandbox) serveControl(w http.ResponseWriter, r *http.Request) {
	switch r.Method + " " + strings.TrimPrefix(r.URL.Path, controlPrefix) {
	case "GET contacts":
		contacts := s.Contacts()
		writeJSON(w, http.StatusOK, map[string]any{"contacts": contacts, "total": len(contacts)})
	case "GET calls":
		calls, total := s.calls.snapshot()
		writeJSON(w, http.StatusOK, map[string]any{"calls": calls, "total": total})
	case "GET writes":
		writeJSON(w, http.StatusOK, map[string]any{"writes": s.Writes(), "throttled": s.Throttled()})
	case "GET changes":
		s.serveChanges(w, r)
	case "GET accounts":
		writeJSON(w, http.StatusOK, map[string]any{"accounts": s.SalesAccounts()})
	case "GET activities":
		writeJSON(w, http.StatusOK, map[string]any{"activities": append([]Activity{}, s.Activities()...)})
	case "GET events":
		writeJSON(w, http.StatusOK, map[string]any{"events": append([]Event{}, s.Events()...)})
	case "GET tracked":
		writeJSON(w, http.StatusOK, map[string]any{"tracked": append([]Tracked{}, s.Tracked()...)})
	case "GET mails":
		writeJSON(w, http.StatusOK, map[string]any{"mails": append([]Mail{}, s.Mails()...)})
	case "GET faults":
		writeJSON(w, http.StatusOK, map[string]any{"faults": s.Faults()})
	case "POST faults":
		s.serveAddFault(w, r)
	case "DELETE faults":
		writeJSON(w, http.StatusOK, map[string]any{"cleared": s.ClearFaults()})
	default:
		writeJSON(w, http.StatusNotFound, controlError("there is contacts, calls, writes, changes, accounts, activities, events, tracked, mails and faults here"))
	}
}

func (s *Sandbox) serveChanges(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(r.URL.Query().Get("contact"), 10, 64)
	switch {
	case err != nil:
		writeJSON(w, http.StatusBadRequest, controlError("say which: changes?contact=ID"))
	case !s.opt.Changes:
		writeJSON(w, http.StatusNotFound, controlError("no changes are kept; write changes: true into the file of --faults"))
	default:
		writeJSON(w, http.StatusOK, map[string]any{"changes": append([]Change{}, s.Changes(id)...)})
	}
}

func (s *Sandbox) serveAddFault(w http.ResponseWriter, r *http.Request) {
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	decoder.DisallowUnknownFields() // a misspelt key would silently make another fault
	var wire faultJSON
	err := decoder.Decode(&wire)
	var fault Fault
	if err == nil {
		fault = wire.fault()
		err = s.AddFault(fault)
	}
	if err != nil {
		writeJSON(w, http.StatusBadRequest, controlError(err.Error()))
		return
	}
	writeJSON(w, http.StatusCreated, map[string]any{"fault": fault})
}

func controlError(text string) map[string]any { return map[string]any{"error": text} }
