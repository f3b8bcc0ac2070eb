package queue

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// drift compares a stream on a server that others administer with what this program relies on. It changes nothing; its
// error names every difference and says what to run.
func drift(got, want jetstream.StreamConfig) error {
	var wrong, edits []string
	var remake bool
	check := func(same bool, what string, has, needs any, edit string) {
		if same {
			return
		}
		wrong = append(wrong, fmt.Sprintf("%s is %v and must be %v", what, has, needs))
		if edit == "" {
			remake = true
		} else {
			edits = append(edits, edit)
		}
	}
	check(got.Retention == want.Retention, "retention", got.Retention, want.Retention, "")
	check(got.Storage == want.Storage, "storage", got.Storage, want.Storage, "")
	check(got.Mirror == nil && len(got.Sources) == 0, "its source", "another stream", "nobody but freshrelay", "")
	check(!got.Sealed && !got.DenyPurge, "purging", "denied", "allowed", "")
	check(!got.DenyDelete, "deleting of messages", "denied", "allowed", "")
	check(!got.AllowMsgCounter, "counting messages", "on", "off", "")
	check(got.PersistMode == jetstream.DefaultPersistMode || got.PersistMode == want.PersistMode, "persist mode", got.PersistMode, want.PersistMode, "")
	check(slices.Equal(got.Subjects, want.Subjects), "subjects", got.Subjects, want.Subjects, "--subjects="+strings.Join(want.Subjects, ","))
	check(got.Discard == want.Discard, "discard", got.Discard, want.Discard, "--discard="+strings.ToLower(strings.TrimPrefix(want.Discard.String(), "Discard")))
	check(!got.DiscardNewPerSubject, "discard per subject", true, false, "--no-discard-per-subject")
	check(limit(got.MaxMsgs) == limit(want.MaxMsgs), "max messages", got.MaxMsgs, "unlimited", "--max-msgs=-1")
	check(limit(got.MaxMsgsPerSubject) == limit(want.MaxMsgsPerSubject), "max messages per subject", got.MaxMsgsPerSubject, limit(want.MaxMsgsPerSubject),
		"--max-msgs-per-subject="+strconv.FormatInt(limit(want.MaxMsgsPerSubject), 10))
	check(got.MaxBytes > 0 && got.MaxBytes >= want.MaxBytes, "max bytes", got.MaxBytes, fmt.Sprintf("at least %d", want.MaxBytes), "--max-bytes="+strconv.FormatInt(want.MaxBytes, 10))
	check(got.MaxMsgSize <= 0 || got.MaxMsgSize >= maxMessage, "max message size", got.MaxMsgSize, "unlimited", "--max-msg-size=-1")
	check(got.MaxAge == want.MaxAge || want.MaxAge > 0, "max age", got.MaxAge, "unlimited", "--max-age=0s")
	// Every reader and every list is a consumer. The NATS CLI cannot make them unlimited again, so very many will do.
	check(got.MaxConsumers <= 0 || got.MaxConsumers >= manyConsumers, "max consumers", got.MaxConsumers, "unlimited", "--max-consumers="+strconv.Itoa(manyConsumers))
	check(got.Duplicates >= want.Duplicates, "duplicate window", got.Duplicates, fmt.Sprintf("at least %v", want.Duplicates), "--dupe-window="+want.Duplicates.String())
	check(got.SubjectTransform == nil, "subject transform", "on", "off", "--no-transform")
	// Copies would show personal data to whoever may listen to their subjects.
	check(got.RePublish == nil, "republish", "on", "off", "--no-republish")
	check(!got.NoAck, "acknowledging", "off", "on", "--ack")
	check(got.Replicas == want.Replicas, "replicas", got.Replicas, want.Replicas, "--replicas="+strconv.Itoa(want.Replicas))
	check(got.AllowAtomicPublish || !want.AllowAtomicPublish, "atomic batch publish", "off", "on", "--allow-batch")
	check(!got.AllowDirect || want.AllowDirect, "direct reading", "on", "off", "--no-allow-direct")
	switch {
	case len(wrong) == 0:
		return nil
	case remake:
		return fmt.Errorf("%w: stream %s: %s: this cannot be edited; give freshrelay streams of its own (another nats.prefix), or remove the stream if nothing in it is needed",
			ErrDrift, got.Name, strings.Join(wrong, "; "))
	}
	return fmt.Errorf("%w: stream %s: %s: run: nats stream edit %s %s", ErrDrift, got.Name, strings.Join(wrong, "; "), got.Name, strings.Join(edits, " "))
}

// maxMessage is a pack with its headers.
const maxMessage = maxPackBytes + 4<<10

// manyConsumers is more than processes with 16 partitions each and their lists ever have.
const manyConsumers = 10_000

// limit makes the two ways to say "unlimited" one.
func limit(n int64) int64 {
	if n <= 0 {
		return -1
	}
	return n
}
