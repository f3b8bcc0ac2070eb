package sandbox

import (
	"encoding/json"
	"net/http"
	"strings"
)

// serveControl is the part that no real account has: it needs no key, shows what is inside and takes faults.
//
//	GET    /_sandbox/contacts   the live contacts, by id
//	GET    /_sandbox/calls      the last calls, oldest first
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
	case "GET faults":
		writeJSON(w, http.StatusOK, map[string]any{"faults": s.Faults()})
	case "POST faults":
		s.serveAddFault(w, r)
	case "DELETE faults":
		writeJSON(w, http.StatusOK, map[string]any{"cleared": s.ClearFaults()})
	default:
		writeJSON(w, http.StatusNotFound, controlError("there is contacts, calls and faults here"))
	}
}

func (s *Sandbox) serveAddFault(w http.ResponseWriter, r *http.Request) {
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	decoder.DisallowUnknownFields() // a misspelt key would silently make another fault
	var wire faultJSON
	err := decoder.Decode(&wire)
	var fault Fault
	if err == nil {
		fault, err = wire.fault()
	}
	if err == nil {
		err = s.AddFault(fault)
	}
	if err != nil {
		writeJSON(w, http.StatusBadRequest, controlError(err.Error()))
		return
	}
	writeJSON(w, http.StatusCreated, map[string]any{"fault": fault})
}

func controlError(text string) map[string]any { return map[string]any{"error": text} }
