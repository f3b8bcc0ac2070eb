package ingest_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/ingest"
)

// How long senders are waited for. The short one is for those who send too little; a machine may be busy for longer than it, so
// whoever sends everything is to be served by a patient one.
const (
	impatient = 2 * time.Second
	patient   = 10 * time.Minute
)

// serve puts a door on a port, with the limits of the real listener but another patience.
func serve(t *testing.T, d *door, connections int, patience time.Duration) (address string) {
	t.Helper()
	server := ingest.NewServer("", d, zap.NewNop())
	server.ReadHeaderTimeout, server.ReadTimeout = patience, 2*patience
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ingest.LimitListener(listener, connections)) }()
	t.Cleanup(func() {
		if err := server.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

// say sends bytes as they are and returns the statuses of the answers until the connection ends.
func say(t *testing.T, address, text string) (statuses []int) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	// The server may have had enough before it has everything; its answer is still to be read.
	go func() { _, _ = io.WriteString(conn, text) }()
	r := bufio.NewReader(conn)
	for {
		a, err := http.ReadResponse(r, nil)
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the connection stays open")
			}
			return statuses
		}
		_, _ = io.Copy(io.Discard, a.Body)
		_ = a.Body.Close()
		statuses = append(statuses, a.StatusCode)
	}
}

// TestHostileConnections sends what is no proper HTTP. Most of it net/http answers before the door sees it; here it is
// kept that it does, and that nothing worse happens.
func TestHostileConnections(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	address, soon := serve(t, d, 64, patient), serve(t, d, 64, impatient)
	key := request("/", "", basic(key)).Header.Get("Authorization")
	start := "POST /v1/identify HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: " + key + "\r\n"
	open := strings.Replace(start, "Connection: close\r\n", "", 1)
	tests := map[string]struct {
		send string
		want []int
	}{
		"whole":                      {start + "Content-Length: 2\r\n\r\n{}", []int{200}},
		"a blank line first":         {"\r\n" + start + "Content-Length: 2\r\n\r\n{}", []int{400}},
		"bare line feeds":            {strings.ReplaceAll(start, "\r", "") + "Content-Length: 2\n\n{}", []int{200}},
		"TLS":                        {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", []int{400}},
		"no HTTP":                    {marker + "\r\n\r\n", []int{400}},
		"HTTP 0.9":                   {"GET /\r\n\r\n", []int{400}},
		"a request line of 64 KB":    {"POST /" + strings.Repeat("a", 64<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n", []int{431}},
		"a header of 64 KB":          {start + "X-A: " + strings.Repeat("a", 64<<10) + "\r\n\r\n", []int{431}},
		"thousands of headers":       {start + strings.Repeat("X-A: b\r\n", 10_000) + "\r\n", []int{431}},
		"no host":                    {"POST /v1/identify HTTP/1.1\r\n\r\n", []int{400}},
		"two hosts":                  {strings.Replace(start, "Host: x\r\n", "Host: x\r\nHost: y\r\n", 1) + "\r\n", []int{400}},
		"host with a blank":          {strings.Replace(start, "Host: x", "Host: x y", 1) + "\r\n", []int{400}},
		"header without colon":       {start + marker + "\r\n\r\n", []int{400}},
		"header name with blank":     {start + "Content-Length : 2\r\n\r\n{}", []int{400}},
		"header over two lines":      {start + "X-A: b\r\n c\r\nContent-Length: 2\r\n\r\n{}", []int{200}},
		"header with zero byte":      {start + "X-A: \x00\r\n\r\n", []int{400}},
		"negative length":            {start + "Content-Length: -2\r\n\r\n{}", []int{400}},
		"length with plus":           {start + "Content-Length: +2\r\n\r\n{}", []int{400}},
		"length of letters":          {start + "Content-Length: two\r\n\r\n{}", []int{400}},
		"length beyond numbers":      {start + "Content-Length: 99999999999999999999\r\n\r\n{}", []int{400}},
		"two lengths":                {start + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", []int{400}},
		"length beyond the limit":    {start + "Content-Length: 999999999\r\n\r\n{}", []int{400}},
		"length shorter than sent":   {open + "Content-Length: 2\r\n\r\n{}" + marker + "\r\n\r\n", []int{200, 400}},
		"HTTP 2 without asking":      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", []int{404}},
		"length and chunks":          {start + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", []int{200}},
		"chunk of no number":         {start + "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", []int{400}},
		"chunk of minus one":         {start + "Transfer-Encoding: chunked\r\n\r\n-1\r\n{}\r\n0\r\n\r\n", []int{400}},
		"chunk beyond numbers":       {start + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}", []int{400}},
		"chunk longer than it says":  {start + "Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n", []int{400}},
		"chunk with endless comment": {start + "Transfer-Encoding: chunked\r\n\r\n2;" + strings.Repeat("a", 64<<10) + "\r\n{}\r\n0\r\n\r\n", []int{400}},
		"chunks of one byte":         {start + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1\r\n \r\n", 30_000) + "2\r\n{}\r\n0\r\n\r\n", []int{200}},
		"trailer":                    {start + "Transfer-Encoding: chunked\r\nTrailer: X-Signature\r\n\r\n2\r\n{}\r\n0\r\nX-Signature: x\r\n\r\n", []int{200}},
		"unknown expectation":        {start + "Expect: " + marker + "\r\nContent-Length: 2\r\n\r\n{}", []int{417}},
		"upgrade":                    {start + "Upgrade: websocket\r\nContent-Length: 2\r\n\r\n{}", []int{200}},
		"another host's address":     {strings.Replace(start, "/v1/identify", "http://"+marker+"/v1/identify", 1) + "Content-Length: 2\r\n\r\n{}", []int{200}},
		"bad escape in the path":     {strings.Replace(start, "/v1/identify", "/v1/%zz", 1) + "\r\n", []int{400}},
		"proxy request":              {"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\nConnection: close\r\n\r\n", []int{404}},
		"two requests in one":        {open + "Content-Length: 2\r\n\r\n{}" + start + "Content-Length: 1\r\n\r\n{", []int{200, 400}},
		"head only":                  {start, nil},
		"half a head":                {start[:40], []int{400}},
		"a byte":                     {"P", []int{400}},
		"body that does not come":    {start + "Content-Length: 9\r\n\r\n{", []int{408}},
		// The only answers above 500 that there are: RFC 9112 asks for them, and they stand for no failure of ours.
		"unknown transfer":   {start + "Transfer-Encoding: gzip\r\n\r\n{}", []int{501}},
		"HTTP of the future": {strings.Replace(start, "HTTP/1.1", "HTTP/9.9", 1) + "\r\n", []int{505}},
		"chunks twice":       {start + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", []int{501}},
	}
	tooLittle := []string{"head only", "half a head", "a byte", "body that does not come"}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			to := address
			if slices.Contains(tooLittle, name) {
				to = soon
			}
			got := say(t, to, tt.send)
			if len(got) != len(tt.want) {
				t.Fatalf("answers = %v, want %v", got, tt.want)
			}
			for i := range got {
				if got[i] != tt.want[i] {
					t.Errorf("answers = %v, want %v", got, tt.want)
				}
			}
			if after := say(t, address, start+"Content-Length: 2\r\n\r\n{}"); len(after) != 1 || after[0] != 200 {
				t.Errorf("the next request was answered %v", after)
			}
		})
	}
}

// TestSlowSendersMakeRoom: as many connections as there may be say nothing; they are ended, and the next is served.
func TestSlowSendersMakeRoom(t *testing.T) {
	t.Parallel()
	const places = 8
	address := serve(t, newDoor(t), places, impatient)
	for range places {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if _, err := io.WriteString(conn, "POST /v1/identify HTTP/1.1\r\nX-"); err != nil {
			t.Fatal(err)
		}
	}
	key := request("/", "", basic(key)).Header.Get("Authorization")
	got := say(t, address, "POST /v1/identify HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: "+key+"\r\nContent-Length: 2\r\n\r\n{}")
	if len(got) != 1 || got[0] != http.StatusOK {
		t.Errorf("answers = %v", got)
	}
}
