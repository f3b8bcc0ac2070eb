package deploy_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var live = flag.Bool("live", false, "start Prometheus and freshrelay and look at rules, dashboards and an alert")

// TestLivePrometheus runs the real Prometheus with the shipped configuration on freshrelay processes as compose starts
// them: one that takes calls in, one that delivers, a broker, and an embedded one besides. Under load and with faults, the
// rules evaluate, each query of each dashboard finds data, and one alert fires and resolves.
func TestLivePrometheus(t *testing.T) {
	if !*live {
		t.Skip("SKIPPED: takes minutes; make test-prometheus runs it")
	}
	rig := startLive(t)
	stop := rig.load()
	defer stop()

	rig.await("the worker delivers", func() bool { return rig.value(`sum(freshrelay_events_total{outcome="delivered"})`) > 50 })
	t.Log("delivering")
	missing := rig.missing(allQueries(t))

	// An administrator takes the key away, and gives it back.
	rig.fault(http.MethodPost, `{"percent": 100, "status": 401}`)
	fires := `ALERTS{alertname="FreshrelayKeyRefused",alertstate="firing",job="freshrelay"}`
	rig.await("FreshrelayKeyRefused fires", func() bool { missing = rig.missing(missing); return rig.value(fires) == 1 })
	t.Log("FreshrelayKeyRefused fires")
	rig.checkAnnotations()
	rig.fault(http.MethodDelete, "")
	rig.fault(http.MethodPost, rig.poison())
	rig.await("FreshrelayKeyRefused resolves", func() bool { missing = rig.missing(missing); return math.IsNaN(rig.value(fires)) })
	t.Log("FreshrelayKeyRefused has resolved")

	rig.await("every query of the dashboards finds data", func() bool { missing = rig.missing(missing); return len(missing) == 0 })
	rig.checkRules()
	if n := len(allQueries(t)); n < 90 {
		t.Errorf("only %d queries", n)
	} else {
		t.Logf("%d queries found data", n)
	}
}

// answer asks Prometheus.
func (r *liveRig) answer(path string, query url.Values, into any) {
	r.t.Helper()
	resp, err := http.Get(r.prometheus + path + "?" + query.Encode())
	if err != nil {
		r.t.Fatalf("%v\n%s", err, r.log.String())
	}
	defer resp.Body.Close()
	var body struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil || body.Status != "success" {
		r.t.Fatalf("%s %v: %v %s", path, query, err, body.Error)
	}
	if err := json.Unmarshal(body.Data, into); err != nil {
		r.t.Fatal(err)
	}
}

// values are those of an instant query that are numbers.
func (r *liveRig) values(expr string) (numbers []float64) {
	r.t.Helper()
	var data struct {
		Result []struct{ Value [2]any }
	}
	r.answer("/api/v1/query", url.Values{"query": {expr}}, &data)
	for _, s := range data.Result {
		if v, err := strconv.ParseFloat(s.Value[1].(string), 64); err == nil && !math.IsNaN(v) {
			numbers = append(numbers, v)
		}
	}
	return numbers
}

// value is the only one, or not a number.
func (r *liveRig) value(expr string) float64 {
	r.t.Helper()
	if v := r.values(expr); len(v) == 1 {
		return v[0]
	}
	return math.NaN()
}

// missing returns the queries that find nothing at this moment.
func (r *liveRig) missing(queries []query) []query {
	r.t.Helper()
	return slices.DeleteFunc(slices.Clone(queries), func(q query) bool { return len(r.values(q.concrete())) > 0 })
}

// checkRules wants each rule evaluated without an error.
func (r *liveRig) checkRules() {
	r.t.Helper()
	var data struct {
		Groups []struct {
			Rules []struct{ Name, Health, LastError string }
		}
	}
	r.answer("/api/v1/rules", nil, &data)
	n := 0
	for _, g := range data.Groups {
		for _, rule := range g.Rules {
			n++
			if rule.Health != "ok" {
				r.t.Errorf("%s: %s %s", rule.Name, rule.Health, rule.LastError)
			}
		}
	}
	if want := len(allRules(r.t)); n != want {
		r.t.Errorf("Prometheus has %d rules, and %d are shipped", n, want)
	}
}

// checkAnnotations wants the texts of alerts filled in.
func (r *liveRig) checkAnnotations() {
	r.t.Helper()
	var data struct {
		Alerts []struct{ Annotations, Labels map[string]string }
	}
	r.answer("/api/v1/alerts", nil, &data)
	if len(data.Alerts) < 2 {
		r.t.Errorf("only %d alerts", len(data.Alerts))
	}
	for _, a := range data.Alerts {
		for name, text := range a.Annotations {
			if text == "" || strings.Contains(text, "error expanding") || strings.Contains(text, "<no value>") || strings.Contains(text, "{{") {
				r.t.Errorf("%s: %s is %q", a.Labels["alertname"], name, text)
			}
		}
	}
}

func (r *liveRig) await(what string, done func() bool) {
	r.t.Helper()
	for begin := time.Now(); !done(); time.Sleep(time.Second) {
		if time.Since(begin) > 10*time.Minute {
			var left strings.Builder
			for _, q := range r.missing(allQueries(r.t)) {
				fmt.Fprintf(&left, "%s: %s\n", q.where, q.concrete())
			}
			r.t.Fatalf("waited in vain: %s\nwithout data:\n%s\n%s", what, left.String(), r.log.tail())
		}
	}
}

// load sends calls of every kind until it is stopped.
func (r *liveRig) load() (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for n := 0; ; n++ {
			select {
			case <-done:
				return
			case <-time.After(500 * time.Millisecond):
			}
			for _, to := range []target{r.ingest, r.alone} {
				r.post(to.url, to.key, batch(n))
			}
			if n%10 == 0 {
				r.post(r.ingest.url, "a-wrong-key", batch(n))
			}
		}
	}()
	return func() { close(done); <-ended }
}

// batch is what a website sends, good and bad: identifies of 60 users, one that the account refuses, one without an
// address, a track call that nobody asked for.
func batch(n int) []byte {
	var calls []map[string]any
	add := func(kind, user string, more map[string]any) {
		call := map[string]any{"type": kind, "userId": user, "messageId": fmt.Sprintf("m-%d-%d", n, len(calls)), "timestamp": time.Now().UTC()}
		maps.Copy(call, more)
		calls = append(calls, call)
	}
	for i := range 8 {
		user := fmt.Sprintf("user-%d", (n*8+i)%60)
		add("identify", user, map[string]any{"traits": map[string]any{"email": user + "@example.test", "firstName": fmt.Sprint("Ada ", n), "favourite": n}})
	}
	if n%5 == 0 {
		poison := fmt.Sprintf("poison-%d", n)
		add("identify", poison, map[string]any{"traits": map[string]any{"email": poison + "@example.test"}})
		add("identify", "nobody", map[string]any{"traits": map[string]any{"firstName": "Ada"}})
		add("track", "user-1", map[string]any{"event": "Clicked"})
	}
	body, err := json.Marshal(map[string]any{"batch": calls})
	if err != nil {
		panic(err) // maps of strings
	}
	return body
}

// post ignores the answer: what is refused is part of the load.
func (r *liveRig) post(base, key string, body []byte) {
	req, err := http.NewRequest(http.MethodPost, base+"/v1/batch", bytes.NewReader(body))
	if err != nil {
		return
	}
	req.SetBasicAuth(key, "")
	req.Header.Set("Content-Type", "application/json")
	if resp, err := http.DefaultClient.Do(req); err == nil {
		resp.Body.Close()
	}
}

// fault tells the sandbox how to misbehave.
func (r *liveRig) fault(method, fault string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.sandbox+"/_sandbox/faults", strings.NewReader(fault))
	if err != nil {
		r.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		r.t.Fatalf("%s %s: %s", method, fault, resp.Status)
	}
}

// poison has some users' contacts refused.
func (r *liveRig) poison() string { return `{"percent": 100, "status": 400, "match_body": "poison"}` }

func readConfig(t *testing.T, name string) map[string]any {
	t.Helper()
	var cfg map[string]any
	readLoosely(t, name, &cfg)
	return cfg
}

// tail is the end of what the processes said.
func (l *logBuffer) tail() string {
	text := l.String()
	return text[max(0, len(text)-4000):]
}

// String implements fmt.Stringer.
func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// Write implements io.Writer.
func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if os.Getenv("LIVE_LOG") != "" {
		os.Stderr.Write(p)
	}
	return l.buf.Write(p)
}
