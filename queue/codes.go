package queue

import (
	"errors"

	"github.com/nats-io/nats.go/jetstream"
)

// Error codes of JetStream that more is asked of than their verdict. Source: nats-server errors.json.
const (
	codeServerFull   jetstream.ErrorCode = 10023 // insufficient resources
	codeStreamFull   jetstream.ErrorCode = 10077 // maximum bytes exceeded
	codeStorageLimit jetstream.ErrorCode = 10047 // insufficient storage for what a new stream reserves
	codeBatchTooLong jetstream.ErrorCode = 10199 // more messages than the server takes in one batch
)

// verdict is what the answer to a write asks for.
type verdict int

const (
	verdictStored   verdict = iota
	verdictAgain            // no answer, or one that only says that this is not the moment: it may be stored, or can be at another try
	verdictConflict         // something has changed since it was read: look
	verdictFull             // there is no room
	verdictSmaller          // a batch did not arrive whole or is too long, and nothing of it is stored: send less at once
	verdictNever            // a bug, or a stream that is not as it was made: no try will do better
	verdictUnknown          // a code that nobody has told us of
)

// verdictOf judges by the codes that a write can meet. Source: nats-server 2.15, errors.json and the places that answer with them.
func verdictOf(err error) verdict {
	if err == nil {
		return verdictStored
	}
	switch errorCode(err) {
	case 0, // no answer: a timeout, no leader, a broken connection
		10008,        // JetStream is temporarily unavailable
		10009,        // not the leader
		10118, 10194, // the stream is offline
		10158,        // the first try is still being replicated
		10163,        // a new leader is not ready to compare sequences yet
		10167,        // more is written to the stream than the server queues
		10210, 10211: // too many batches are under way; they end, or are given up after 10 s
		return verdictAgain
	case 10071, // wrong last sequence
		10164: // likewise without the number: on replicas "one is in process"
		return verdictConflict
	case codeServerFull, codeStreamFull,
		10002: // the account's storage is used up, perhaps by streams that are not ours
		return verdictFull
	case 10176, // a batch is incomplete: its begin was lost, or went to the leader before
		codeBatchTooLong:
		return verdictSmaller
	case 10174, // atomic publish is disabled for the stream
		10175, // a batch's message has no number
		10177, // a batch's message has a header that none may have
		10200, // a batch's last message is not marked as such
		10201: // a message id is known: what goes into a batch has none
		return verdictNever
	}
	return verdictUnknown
}

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

func isConflict(err error) bool { return verdictOf(err) == verdictConflict }

func isFull(err error) bool { return verdictOf(err) == verdictFull }

func unclear(err error) bool { return verdictOf(err) == verdictAgain }
