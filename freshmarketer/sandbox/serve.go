package sandbox

import (
	"cmp"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	apiPrefix      = "/crm/sales/api/"
	marketerPrefix = "/crm/marketer/mas/api/"
	controlPrefix  = "/_sandbox/"
	loginPath      = "/crm/sales/login"

	// maxBody is ours: the vendor publishes no limit.
	maxBody = 4 << 20
)

// request is one API call, read and routed.
type request struct {
	op, id      string
	method      string
	path        string // without the query, whose values can be personal
	query       url.Values
	contentType string
	body        []byte
	n           int64     // the call's number
	at          time.Time // when it takes effect
	base        string    // scheme and host under which the sandbox was called
	preload     bool
}

func (s *Sandbox) serve(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasPrefix(r.URL.Path, controlPrefix):
		s.serveControl(w, r)
	case slices.ContainsFunc([]string{apiPrefix, marketerPrefix, classicPrefix, trackPrefix}, func(prefix string) bool { return strings.HasPrefix(r.URL.Path, prefix) }):
		s.serveAPI(w, r)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// serveAPI is one call from arrival to answer: fault, authentication, effect, answer.
func (s *Sandbox) serveAPI(w http.ResponseWriter, r *http.Request) {
	// Reading to the end also lets the server notice a client that goes away during a stall.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	rq := route(r.Method, r.URL.Path)
	rq.method, rq.path, rq.query, rq.body = r.Method, r.URL.Path, r.URL.Query(), body
	rq.contentType, rq.base = r.Header.Get("Content-Type"), "http://"+r.Host
	if r.TLS != nil {
		rq.base = "https://" + r.Host
	}

	now := s.opt.Now()
	fault := s.faults.pick(rq, now)
	call := s.calls.begin(Call{Time: now, Operation: rq.op, Method: rq.method, Path: rq.path, Fault: fault.action()})
	rq.n = call.N
	late := fault.DropAnswer || fault.Done // stalls behind the effect
	if !late && !fault.stall(r.Context()) || fault.cutsAtOnce() {
		abort()
	}
	ans := answer{status: fault.Status}
	var jobEffects []Call
	if fault.Status == 0 || fault.Done {
		ans, jobEffects = s.authorized(r.Header, rq)
	}
	call.ContactID, call.Effect = ans.contactID, ans.effect
	if !fault.DropAnswer {
		call.Status = cmp.Or(fault.Status, ans.status)
	}
	s.calls.finish(call)
	if s.opt.OnEffect != nil {
		for _, effect := range jobEffects {
			s.opt.OnEffect(effect)
		}
		if ans.effect {
			s.opt.OnEffect(call)
		}
	}
	if late && !fault.stall(r.Context()) || fault.DropAnswer {
		abort()
	}
	if fault.Status != 0 {
		fault.write(w)
		return
	}
	ans.write(w)
}

// abort cuts the connection. net/http offers no other way that works for HTTP/1 and 2; it does not log this value.
func abort() { panic(http.ErrAbortHandler) }

// authorized checks the key and then does what the request asks. effects are those of bulk jobs that were due.
func (s *Sandbox) authorized(h http.Header, rq request) (ans answer, effects []Call) {
	if refusal, ok := s.checkKey(h, rq); !ok {
		return refusal, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	rq.at = s.opt.Now()
	s.advance(rq.at)
	wait, ok := time.Duration(0), true
	if !strings.HasPrefix(rq.path, trackPrefix) {
		wait, ok = s.quota.take(rq.at)
	}
	if ok {
		ans = s.perform(rq)
	} else {
		ans = s.throttled(wait)
	}
	if s.opt.LimitHeaders {
		ans.header = mergeHeaders(ans.header, s.limitHeaders(rq.at))
	}
	effects, s.effects = s.effects, nil
	return ans, effects
}

// checkKey returns the answer to a call whose key does not do.
// Source: Freshworks CRM API, "Authentication"; the answers to bad keys are recorded ones.
func (s *Sandbox) checkKey(h http.Header, rq request) (refusal answer, ok bool) {
	key, sent := strings.CutPrefix(h.Get("Authorization"), "Token token=")
	classic := strings.HasPrefix(rq.path, classicPrefix)
	if classic && rq.op == OpClassicMail {
		key = h.Get("Token")
	} else if classic {
		key = h.Get("Fm-Token")
	}
	readOnly := slices.Contains(s.opt.ReadOnlyKeys, key)
	switch {
	case strings.HasPrefix(rq.path, trackPrefix): // it has a token of its own, in its body
		return answer{}, true
	case slices.Contains(s.opt.APIKeys, key), readOnly:
	case classic:
		return s.refuse(http.StatusUnauthorized, s.say(badKey)), false
	case !strings.Contains(h.Get("Accept"), "json"):
		return answer{status: http.StatusFound, header: http.Header{"Location": {loginPath}}}, false
	case !sent:
		return answer{status: http.StatusUnauthorized, body: map[string]any{"login": "failed", "message": nil}}, false
	default:
		return answer{status: http.StatusUnauthorized, body: map[string]any{"login": "failed", "message": s.say(badKey)}}, false
	}
	if readOnly && rq.method != http.MethodGet {
		return s.refuse(http.StatusForbidden, s.say(notAuthorized)), false
	}
	return answer{}, true
}

// perform dispatches; s.mu is held.
func (s *Sandbox) perform(rq request) answer {
	switch rq.op {
	case OpCreateContact:
		return s.createContact(rq)
	case OpGetContact:
		return s.getContact(rq)
	case OpUpdateContact:
		return s.updateContact(rq)
	case OpUpsertContact:
		return s.upsertContact(rq)
	case OpDeleteContact, OpForgetContact:
		return s.removeContact(rq)
	case OpRestoreContact:
		return s.restoreContact(rq)
	case OpUpsertAccount, OpCreateAccount, OpGetAccount, OpUpdateAccount, OpDeleteAccount, OpAccountFields,
		OpListAccounts, OpAccountFilters, OpAccountView, OpBulkDestroyAccounts, OpForgetAccount, OpCloneAccount:
		return s.serveAccounts(rq)
	case OpCreateActivity:
		return s.createActivity(rq)
	case OpListActivities, OpGetActivity, OpUpdateActivity, OpDeleteActivity:
		return s.serveActivities(rq)
	case OpActivityFields:
		return answer{status: http.StatusOK, body: map[string]any{"fields": activityFields()}}
	case OpCreateNote:
		return s.createNote(rq)
	case OpSelector:
		return s.selector(rq)
	case OpActivityTypes: // the same under another name (seen live)
		rq.id = "sales_activity_types"
		return s.selector(rq)
	case OpPipelineStages:
		return s.pipelineStages(rq)
	case OpSendEvent:
		return s.sendEvent(rq)
	case OpLists, OpCreateList, OpListMembers, OpAddToList, OpRemoveFromList, OpRenameList, OpMoveToList:
		return s.serveLists(rq)
	case OpSearch:
		return s.search(rq)
	case OpFilteredSearch:
		return s.filteredSearch(rq)
	case OpBulkDestroy, OpBulkAssignOwner:
		return s.onSelected(rq)
	case OpCloneContact:
		return s.cloneContact(rq)
	case OpTrackVisitor, OpTrackEvent, OpTrackPageView:
		return s.track(rq)
	case OpClassicPut, OpClassicCreate, OpClassicGet, OpClassicUpdate, OpClassicDelete, OpClassicList, OpClassicLists, OpClassicSubscribe, OpClassicUnsubscribe, OpClassicMail:
		return s.classic(rq)
	case OpCreateTask, OpListTasks, OpGetTask, OpUpdateTask, OpDeleteTask:
		return s.serveTasks(rq)
	case OpCreateAppointment, OpListAppointments, OpGetAppointment, OpUpdateAppointment, OpDeleteAppointment:
		return s.serveAppointments(rq)
	case OpBulkUpsert, OpBulkUpsertAccounts:
		return s.bulkUpsert(rq)
	case OpJobStatus:
		return s.jobStatus(rq)
	case OpLookupContacts:
		return s.lookup(rq)
	case OpContactFilters:
		return answer{status: http.StatusOK, body: map[string]any{"filters": filters(rq.at)}}
	case OpContactView:
		return s.view(rq)
	case OpContactFields:
		return answer{status: http.StatusOK, body: map[string]any{"fields": s.fields.metadata}}
	case OpListContacts: // the route exists, but wants a view's id (seen live)
		return s.refuse(http.StatusForbidden, s.say(notAuthorized))
	}
	return answer{status: http.StatusNotFound}
}
