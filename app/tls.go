package app

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/crypto/acme"
)

// secure gives the server of the ingest listener its certificate, if it is configured to have one, and returns what is
// to be done once it serves: ordering a certificate needs the listener.
func (s *service) secure(server *http.Server) (serving func(), err error) {
	t := s.cfg.TLS
	if !t.On() {
		return func() {}, nil
	}
	server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	server.ErrorLog = log.New(newHandshakeLog(s.log, server.ErrorLog.Writer()), "", 0)
	if t.ACMEDomain == "" {
		files, err := newCertFiles(t.CertFile, t.KeyFile, s.log)
		if err != nil {
			return nil, err
		}
		server.TLSConfig.GetCertificate = files.certificate
		return func() {}, nil
	}
	order, err := newCertOrder(t, s.cfg.DataDir, "freshrelay/"+s.opts.Version, s.log)
	if err != nil {
		return nil, err
	}
	server.TLSConfig.GetCertificate = order.certificate
	server.TLSConfig.NextProtos = append(server.TLSConfig.NextProtos, acme.ALPNProto) // the CA's challenge
	return func() { s.keepCertificate(order) }, nil
}

// handshakeLog is where net/http writes. It takes the lines about failed handshakes apart: on a public address there is
// no end of them, and each is another text, so that folding would not find them alike.
type handshakeLog struct {
	log  *zap.Logger
	rest io.Writer
}

func newHandshakeLog(log *zap.Logger, rest io.Writer) handshakeLog {
	return handshakeLog{rest: rest, log: log.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, time.Minute, 5, 1000)
	}))}
}

// Write implements io.Writer.
func (h handshakeLog) Write(line []byte) (int, error) {
	failed, ok := strings.CutPrefix(string(line), "http: TLS handshake error from ")
	if !ok {
		return h.rest.Write(line)
	}
	client, cause, _ := strings.Cut(strings.TrimSpace(failed), ": ")
	if host, _, err := net.SplitHostPort(client); err == nil {
		client = host
	}
	level := zap.InfoLevel
	if cause == "EOF" { // somebody looked whether the port is open
		level = zap.DebugLevel
	}
	h.log.Log(level, "a TLS handshake failed", zap.String("client", client), zap.String("cause", cause))
	return len(line), nil
}
