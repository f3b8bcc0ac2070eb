package queue

import (
	"errors"

	"github.com/nats-io/nats.go/jetstream"
)

// Error codes of JetStream that decide what to do. Source: nats-server errors.json.
const (
	codeWrongLastSequence         = jetstream.JSErrCodeStreamWrongLastSequence         // 10071
	codeWrongLastSequenceConstant = jetstream.JSErrCodeStreamWrongLastSequenceConstant // 10164

	codeUnavailable jetstream.ErrorCode = 10008 // JetStream temporarily unavailable
	codeServerFull  jetstream.ErrorCode = 10023 // insufficient resources
	codeStreamFull  jetstream.ErrorCode = 10077 // maximum bytes exceeded
)

// errorCode is the API's code, or 0 for an error that is not an answer: a timeout or a broken connection.
func errorCode(err error) jetstream.ErrorCode {
	if api := new(jetstream.APIError); errors.As(err, &api) {
		return api.ErrorCode
	}
	if js := jetstream.JetStreamError(nil); errors.As(err, &js) && js.APIError() != nil {
		return js.APIError().ErrorCode
	}
	return 0
}

func isConflict(err error) bool {
	code := errorCode(err)
	return code == codeWrongLastSequence || code == codeWrongLastSequenceConstant
}
