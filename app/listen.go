package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"
)

// listen takes an address; setting is how to choose another one.
func listen(ctx context.Context, name, addr, setting string) (net.Listener, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, &startError{
			fmt.Errorf("%s: %w: is another freshrelay running, or does the address not exist here?", name, err),
			"stop what uses the address, or choose another: " + setting,
		}
	}
	return listener, nil
}

// baseURL is where this machine reaches a listener; one that listens everywhere is reached on the loopback address.
func baseURL(l net.Listener) string {
	addr, ok := l.Addr().(*net.TCPAddr)
	if ok && addr.IP.IsUnspecified() {
		return fmt.Sprintf("http://127.0.0.1:%d", addr.Port)
	}
	return "http://" + l.Addr().String()
}

// serve serves and registers the stop: requests under way are answered first, as far as limit allows.
func (s *service) serve(name string, limit time.Duration, listener net.Listener, server *http.Server) {
	unused := new(unusedConns)
	unused.watch(server)
	go func() {
		serve := server.Serve
		if server.TLSConfig != nil {
			serve = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
		}
		if err := serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("%s: %w", name, err)
		}
	}()
	s.onStop(name, limit, func(ctx context.Context) error {
		unused.close()
		err := server.Shutdown(ctx)
		if errors.Is(err, context.DeadlineExceeded) { // whoever is still waiting gets no answer and asks again
			s.log.Warn("requests were cut off by the stop", zap.String("part", name))
			err = server.Close()
		}
		return err
	})
}

// announce says where the service is, for people and for scripts that wait for it.
func (s *service) announce() {
	a := s.addresses
	s.log.Info("running", zap.String("version", s.opts.Version), zap.String("ingest", a.Ingest), zap.String("admin", a.Admin), zap.String("account", s.account()))
	if s.opts.Stdout != nil {
		fmt.Fprintf(s.opts.Stdout, "ingest    %s\nadmin     %s\n", a.Ingest, a.Admin)
		if a.Public != "" {
			fmt.Fprintf(s.opts.Stdout, "public    %s\n", a.Public)
		}
		if a.Sandbox != "" {
			fmt.Fprintf(s.opts.Stdout, "sandbox   %s\n", a.Sandbox)
		}
	}
	if s.opts.Ready != nil {
		s.opts.Ready <- a
	}
}
