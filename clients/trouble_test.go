//go:build clients

package clients_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// trouble stands between clients and the service. The first attempt at a request is answered with 503 and Retry-After,
// the second is passed on, and once the service has answered the connection breaks: the client must take it for lost, and
// sends again what is stored already. From the third attempt on requests pass. So no request is spared, and libraries
// that give up after three repeats still get through.
type trouble struct {
	t       *testing.T
	service string // host:port
	server  *httptest.Server
	forward http.Transport // one hop: nothing is unpacked, no proxy of the environment is used

	mu       sync.Mutex
	attempts map[string]int // by the message id of a request's first event, which stays first when it is repeated
	refused  int
	cut      int
	stored   []event // of all requests that the service answered with 200
}

// event is what is looked at of an event on its way.
type event struct {
	Type      string `json:"type"`
	MessageID string `json:"messageId"`
	UserID    string `json:"userId"`
	Traits    struct {
		Seq int `json:"Seq"`
	} `json:"traits"`
}

// seen is what has gone through.
type seen struct {
	refused, cut int // requests
	identifies   int // events the service has taken, each as often as it has
}

func startTrouble(t *testing.T, service string) *trouble {
	t.Helper()
	p := &trouble{t: t, service: strings.TrimPrefix(service, "http://"), attempts: map[string]int{}, forward: http.Transport{DisableCompression: true}}
	p.server = httptest.NewServer(p)
	t.Cleanup(p.server.Close)
	t.Cleanup(p.forward.CloseIdleConnections)
	return p
}

func (p *trouble) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has hung up
	}
	if r.Method != http.MethodPost { // preflights and settings
		p.pass(w, r, body)
		return
	}
	events, err := readEvents(body)
	if err != nil {
		p.t.Errorf("POST %s, whose body is not read here: %v", r.URL.Path, err)
	}
	switch p.attempt(events) {
	case 0:
		// As the service's own refusals look to a browser.
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Access-Control-Expose-Headers", "Retry-After")
		w.Header().Set("Retry-After", "1")
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, `{"success":false,"code":"unavailable"}`) // a client that hangs up comes again
	case 1:
		if p.pass(httptest.NewRecorder(), r, body) == http.StatusOK {
			p.took(events, true)
		}
		panic(http.ErrAbortHandler) // the documented way to break a connection
	default:
		if p.pass(w, r, body) == http.StatusOK {
			p.took(events, false)
		}
	}
}

// pass sends the request on as it is, and returns the status of the service's answer.
func (p *trouble) pass(w http.ResponseWriter, r *http.Request, body []byte) int {
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host, out.RequestURI = "http", p.service, ""
	out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	if len(body) == 0 {
		out.Body = http.NoBody
	}
	resp, err := p.forward.RoundTrip(out)
	if err != nil {
		http.Error(w, "the service cannot be reached", http.StatusBadGateway)
		return http.StatusBadGateway
	}
	defer resp.Body.Close()
	maps.Copy(w.Header(), resp.Header)
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, resp.Body) // a client that hangs up comes again
	return resp.StatusCode
}

// attempt is how often a request was tried before.
func (p *trouble) attempt(events []event) int {
	if len(events) == 0 {
		return 2
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.attempts[events[0].MessageID]
	p.attempts[events[0].MessageID]++
	if n == 0 {
		p.refused++
	}
	return n
}

func (p *trouble) took(events []event, cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stored = append(p.stored, events...)
	if cut {
		p.cut++
	}
}

// report checks that each identify of the job has gone through under one message id, and says what else was seen.
func (p *trouble) report(c client) seen {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	s := seen{refused: p.refused, cut: p.cut}
	ids := map[string]map[string]bool{} // by user and Seq
	for _, e := range p.stored {
		if e.Type != "identify" {
			continue
		}
		s.identifies++
		call := fmt.Sprintf("%s %d", e.UserID, e.Traits.Seq)
		if ids[call] == nil {
			ids[call] = map[string]bool{}
		}
		ids[call][e.MessageID] = true
	}
	for _, user := range c.job("").Users {
		for seq := 1; seq <= c.rounds; seq++ {
			if n := len(ids[fmt.Sprintf("%s %d", user, seq)]); n != 1 {
				p.t.Errorf("identify %d of %s went through under %d message ids", seq, user, n)
			}
		}
	}
	return s
}

// readEvents reads a batch or a single event.
func readEvents(body []byte) ([]event, error) {
	var batch struct {
		Batch []event `json:"batch"`
	}
	if err := json.Unmarshal(body, &batch); err != nil {
		return nil, err
	}
	if batch.Batch != nil {
		return batch.Batch, nil
	}
	var one event
	err := json.Unmarshal(body, &one)
	return []event{one}, err
}
