package ingest_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/ingest"
	"github.com/freshrelay/freshrelay/metrics"
	"github.com/freshrelay/freshrelay/queue"
)

func proxies(networks ...string) []netip.Prefix {
	var list []netip.Prefix
	for _, n := range networks {
		list = append(list, netip.MustParsePrefix(n))
	}
	return list
}

func from(peer string, forwarded ...string) option {
	return func(r *http.Request) {
		r.RemoteAddr = peer
		r.Header["X-Forwarded-For"] = forwarded
	}
}

// loggedClients returns what each line of the log says about the client, "none" where it says nothing.
func (d *door) loggedClients() []string {
	var list []string
	for _, entry := range d.logs.All() {
		client, ok := entry.ContextMap()["client"].(string)
		if !ok {
			client = "none"
		}
		list = append(list, client)
	}
	return list
}

func TestClientAddress(t *testing.T) {
	t.Parallel()
	trusted := proxies("10.0.0.0/8", "192.0.2.7/32", "2001:db8:1::/48", "fe80::/10")
	tests := map[string]struct {
		proxies   []netip.Prefix
		peer      string
		forwarded []string
		want      string
	}{
		"nobody is trusted":             {nil, "10.0.0.1:999", []string{"203.0.113.9"}, "10.0.0.1"},
		"a stranger's word":             {trusted, "198.51.100.1:999", []string{"203.0.113.9"}, "198.51.100.1"},
		"a stranger without a word":     {trusted, "198.51.100.1:999", nil, "198.51.100.1"},
		"next to the network":           {trusted, "11.0.0.1:999", []string{"203.0.113.9"}, "11.0.0.1"},
		"next to the address":           {trusted, "192.0.2.8:999", []string{"203.0.113.9"}, "192.0.2.8"},
		"through a proxy":               {trusted, "10.0.0.1:999", []string{"203.0.113.9"}, "203.0.113.9"},
		"through one that is silent":    {trusted, "10.0.0.1:999", nil, "10.0.0.1"},
		"through two":                   {trusted, "10.0.0.1:999", []string{"203.0.113.9, 192.0.2.7"}, "203.0.113.9"},
		"left-most is made up":          {trusted, "10.0.0.1:999", []string{"1.1.1.1, 203.0.113.9"}, "203.0.113.9"},
		"left-most claims to be ours":   {trusted, "10.0.0.1:999", []string{"10.0.0.5, 203.0.113.9, 10.0.0.2"}, "203.0.113.9"},
		"left-most is garbage":          {trusted, "10.0.0.1:999", []string{marker + ",203.0.113.9"}, "203.0.113.9"},
		"right-most is garbage":         {trusted, "10.0.0.1:999", []string{"203.0.113.9, " + marker}, "10.0.0.1"},
		"garbage between":               {trusted, "10.0.0.1:999", []string{"203.0.113.9, unknown, 10.0.0.2"}, "10.0.0.2"},
		"numbers that are no address":   {trusted, "10.0.0.1:999", []string{"203.0.113.900"}, "10.0.0.1"},
		"only proxies":                  {trusted, "10.0.0.1:999", []string{"10.0.0.9, 10.0.0.2"}, "10.0.0.9"},
		"several headers":               {trusted, "10.0.0.1:999", []string{"1.1.1.1", "203.0.113.9", "10.0.0.2"}, "203.0.113.9"},
		"several headers, made up last": {trusted, "10.0.0.1:999", []string{"203.0.113.9", "1.1.1.1, 198.51.100.2"}, "198.51.100.2"},
		"holes in the list":             {trusted, "10.0.0.1:999", []string{", 203.0.113.9,, ", ""}, "203.0.113.9"},
		"no spaces, many spaces":        {trusted, "10.0.0.1:999", []string{"1.1.1.1,  203.0.113.9\t,10.0.0.2"}, "203.0.113.9"},
		"IPv6":                          {trusted, "[2001:db8:1::1]:999", []string{"2001:DB8:2::0001"}, "2001:db8:2::1"},
		"IPv6 in brackets":              {trusted, "[2001:db8:1::1]:999", []string{"[2001:db8:2::1]"}, "2001:db8:2::1"},
		"IPv6 with a port":              {trusted, "[2001:db8:1::1]:999", []string{"[2001:db8:2::1]:443"}, "2001:db8:2::1"},
		"IPv6 of a stranger":            {trusted, "[2001:db8:2::1]:999", []string{"203.0.113.9"}, "2001:db8:2::1"},
		"IPv4 with a port":              {trusted, "10.0.0.1:999", []string{"203.0.113.9:54321"}, "203.0.113.9"},
		"a mapped peer":                 {trusted, "[::ffff:10.0.0.1]:999", []string{"203.0.113.9"}, "203.0.113.9"},
		"a mapped entry":                {trusted, "10.0.0.1:999", []string{"::ffff:203.0.113.9"}, "203.0.113.9"},
		"a mapped proxy on the way":     {trusted, "10.0.0.1:999", []string{"203.0.113.9, ::ffff:10.0.0.2"}, "203.0.113.9"},
		"a zone":                        {trusted, "[fe80::1%eth0]:999", []string{"fe80::2%" + marker + ", fe80::3%x"}, "fe80::2"},
		"a socket file":                 {trusted, "@", []string{"203.0.113.9"}, "none"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDoorWith(t, ingest.Config{Sources: sources(), TrustedProxies: tt.proxies})
			r := request("/v1/identify", `{}`, basic(marker), from(tt.peer, tt.forwarded...))
			r.Header.Set("X-Real-Ip", "198.51.100.77") // says nothing to us
			w := d.do(r)
			wantRefused(t, w, http.StatusUnauthorized, "unknown_write_key")
			if got := d.loggedClients(); len(got) != 1 || got[0] != tt.want {
				t.Errorf("client = %v, want %s", got, tt.want)
			}
			wantNoContent(t, d, w)
		})
	}
}

// TestOnlyRefusedSendersAreLogged: an address can be a person's, so it is written down where it helps, and nowhere else.
func TestOnlyRefusedSendersAreLogged(t *testing.T) {
	t.Parallel()
	const client = "203.0.113.9"
	sender := from("10.0.0.1:999", client)
	slow := sources()
	slow[0].RatePerSecond = 0.001
	tests := map[string]struct {
		sources []ingest.Source
		before  *http.Request // lets the one after it find a used-up rate
		request *http.Request
		err     error
		status  int
		logged  bool
	}{
		"accepted":      {sources(), nil, request("/v1/identify", `{}`, basic(key), sender), nil, 200, false},
		"settings":      {sources(), nil, request("/v1/projects/"+key+"/settings", "", method("GET"), sender), nil, 200, false},
		"unknown key":   {sources(), nil, request("/v1/identify", `{}`, basic(marker), sender), nil, 401, true},
		"bad signature": {sources(), nil, request("/webhook/signed", `{}`, sign(marker, `{}`), sender), nil, 401, true},
		"bad token":     {sources(), nil, request("/webhook/tokened/"+marker, `[]`, sign(secret, `{}`), sender), nil, 401, true},
		"rate":          {slow, request("/v1/identify", `{}`, basic(key)), request("/v1/identify", `{}`, basic(key), sender), nil, 429, true},
		"too large":     {sources(), nil, request("/v1/identify", strings.Repeat(" ", 1<<20), basic(key), sender), nil, 400, true},
		"malformed":     {sources(), nil, request("/v1/identify", marker, basic(key), sender), nil, 400, true},
		"unknown path":  {sources(), nil, request("/"+marker, "", sender), nil, 404, true},
		"store is full": {sources(), nil, request("/v1/identify", `{}`, basic(key), sender), queue.ErrFull, 503, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDoorWith(t, ingest.Config{Sources: tt.sources, TrustedProxies: proxies("10.0.0.0/8")})
			if tt.before != nil {
				d.do(tt.before)
			}
			d.store.err = tt.err
			w := d.do(tt.request)
			if w.Code != tt.status {
				t.Fatalf("answer = %d %s", w.Code, w.Body)
			}
			clients := slices.DeleteFunc(d.loggedClients(), func(c string) bool { return c == "none" })
			if logged := slices.Equal(clients, []string{client}); logged != tt.logged || !logged && len(clients) > 0 {
				t.Errorf("clients in the log = %q", clients)
			}
			scrape := httptest.NewRecorder()
			d.metrics.Handler().ServeHTTP(scrape, httptest.NewRequest(http.MethodGet, "/metrics", nil))
			for _, address := range []string{client, "10.0.0.1"} {
				if strings.Contains(w.Body.String()+scrape.Body.String(), address) {
					t.Errorf("%s is shown in the answer or in the metrics", address)
				}
			}
		})
	}
}

func TestNewRefusesProxies(t *testing.T) {
	t.Parallel()
	for _, p := range []netip.Prefix{
		{}, netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0"), netip.MustParsePrefix("::ffff:10.0.0.0/104"),
	} {
		_, err := ingest.New(ingest.Config{Sources: sources(), TrustedProxies: []netip.Prefix{p}}, &memory{}, metrics.New(), zap.NewNop())
		if err == nil {
			t.Errorf("%s: accepted", p)
		}
	}
}
