//go:build unix

package app_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/app"
	"github.com/freshrelay/freshrelay/app/certtest"
	"github.com/freshrelay/freshrelay/app/config"
	"github.com/freshrelay/freshrelay/queue/queuetest"
)

// As long as the ingest listener is on its way, a load balancer is told so. The certificate is a pipe: the start waits for what is written into it.
func TestAServiceIsReadyOnlyOnceItListens(t *testing.T) {
	t.Parallel()
	cfg := config.SandboxDefaults()
	cfg.DataDir, cfg.Listen, cfg.Admin.Listen = t.TempDir(), "127.0.0.1:0", queuetest.Address(t)
	cfg.TLS.CertFile, cfg.TLS.KeyFile = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	certPEM, keyPEM := certtest.New(t).Issue(7, time.Hour)
	certtest.Replace(t, cfg.TLS.KeyFile, keyPEM)
	if err := syscall.Mkfifo(cfg.TLS.CertFile, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), processPatience)
	defer cancel()
	ready, done := make(chan app.Addresses, 1), make(chan error, 1)
	go func() {
		done <- app.Run(ctx, cfg, app.Options{Sandbox: true, SandboxListen: "127.0.0.1:0", Version: "test", Ready: ready})
	}()
	opened := make(chan *os.File, 1)
	go func() { // it opens once somebody reads
		pipe, err := os.OpenFile(cfg.TLS.CertFile, os.O_WRONLY, 0)
		if err != nil {
			t.Error(err)
		}
		opened <- pipe
	}()
	select {
	case pipe := <-opened:
		if status := (&child{t: t, adminAt: cfg.Admin.Listen}).readyz(ctx); status != http.StatusServiceUnavailable {
			t.Errorf("before it listens, /readyz answers %d", status)
		}
		if _, err := pipe.Write(certPEM); err != nil {
			t.Error(err)
		}
		pipe.Close()
	case err := <-done:
		t.Fatalf("the service did not start: %v", err)
	case <-ctx.Done():
		t.Fatal("nobody reads the certificate")
	}
	select {
	case <-ready:
		if status := (&child{t: t, adminAt: cfg.Admin.Listen}).readyz(ctx); status != http.StatusOK {
			t.Errorf("when it listens, /readyz answers %d", status)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	case err := <-done:
		t.Fatalf("the service did not start: %v", err)
	}
}

// A service that is told to stop says so before it lets the calls under way end, so that a load balancer sends it no new ones.
func TestAServiceThatStopsIsNotReadyWhileItAnswersItsLastCalls(t *testing.T) {
	t.Parallel()
	p := startProcess(t, t.TempDir())
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	var order []string
	for _, entry := range p.logs.FilterMessage("stopped").All() {
		if part, ok := entry.ContextMap()["part"].(string); ok && (part == "the admin API" || part == "the ingest listener") {
			order = append(order, part)
		}
	}
	if !slices.Equal(order, []string{"the admin API", "the ingest listener"}) {
		t.Errorf("stopped in this order: %q", order)
	}
}
