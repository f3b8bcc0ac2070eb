package queue

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/freshrelay/freshrelay/failpoint"
)

// horizonStep is how many items the horizon is committed ahead: one commit per 5,000 items, and after a crash at most
// that many items, beyond those that were being worked on, are read before anything is sent.
const horizonStep = 5000

const (
	trimEvery = 2 * time.Second
	readAhead = 16 // packs that the client may buffer: at most 8 MB
)

// Run reads the log from the floor and hands each pack to deliver, in order, until parent ends or the partition fails.
// deliver may block to hold the reader back, but not before Recovered is closed. The Run of the log of contacts trims both.
func (p *Partition) Run(parent context.Context, deliver func(ctx context.Context, items []Item) error) error {
	if err := p.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	trimmed := make(chan struct{})
	go func() {
		defer close(trimmed)
		if p.activities != nil {
			p.trimLoop(ctx)
		}
	}()
	go func() {
		select {
		case <-p.failed:
			cancel()
		case <-ctx.Done():
		}
	}()
	err := p.read(ctx, deliver)
	cancel()
	<-trimmed
	if failure := p.Err(); failure != nil {
		return failure
	}
	if parent.Err() != nil {
		return nil // stopping is not failing
	}
	return err
}

func (p *Partition) read(ctx context.Context, deliver func(context.Context, []Item) error) error {
	p.mu.Lock()
	start := p.progress.readSeq + 1 // the floor at first
	p.mu.Unlock()
	if p.oldEnd < start {
		p.setRecovered() // nothing is left of the earlier run
	}
	consumer, err := p.s.js.OrderedConsumer(ctx, p.s.names.stream("EVENTS"), jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{p.s.names.packs(p.id)}, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: start,
	})
	if err != nil {
		return fmt.Errorf("reading the log: %w", err)
	}
	defer p.s.dropConsumer(p.s.names.stream("EVENTS"), consumer)
	messages, err := consumer.Messages(jetstream.PullMaxMessages(readAhead))
	if err != nil {
		return fmt.Errorf("reading the log: %w", err)
	}
	// The client makes a lost consumer again by itself, for ever and without looking at ctx: stopping must end that too.
	stop := context.AfterFunc(ctx, messages.Stop)
	defer stop()
	defer messages.Stop()
	for {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return fmt.Errorf("reading the log: %w", err)
		}
		if err := p.take(ctx, msg, deliver); err != nil {
			return err
		}
	}
}

// take hands one pack out, after the horizon covers it.
func (p *Partition) take(ctx context.Context, msg jetstream.Msg, deliver func(context.Context, []Item) error) error {
	meta, err := msg.Metadata()
	if err != nil {
		return fmt.Errorf("reading the log: %w", err)
	}
	seq := meta.Sequence.Stream
	totalEvents, totalItems, err := packTotals(msg.Headers())
	if err != nil {
		return fmt.Errorf("pack %d: %w", seq, err)
	}
	items, err := decodePack(seq, msg.Data())
	if err != nil {
		return err
	}
	if err := p.coverHorizon(ctx, totalItems); err != nil {
		return err
	}
	p.mu.Lock()
	p.progress.read(seq, totalEvents, meta.Timestamp, items)
	p.mu.Unlock()
	if err := deliver(ctx, items); err != nil {
		return err
	}
	if totalItems >= p.oldHorizon || seq >= p.oldEnd {
		p.setRecovered()
	}
	return nil
}

func (p *Partition) setRecovered() { p.recoverOne.Do(func() { close(p.recovered) }) }

// coverHorizon commits a further horizon if the next pack lies beyond the present one.
func (p *Partition) coverHorizon(ctx context.Context, totalItems uint64) error {
	p.mu.Lock()
	covered := totalItems <= p.stored.horizon
	p.mu.Unlock()
	if covered {
		return nil
	}
	failpoint.Hit(failpoint.HorizonBefore)
	done := make(chan error, 1)
	p.Commit(&Settlement{horizon: totalItems + horizonStep, Done: func(_ uint64, err error) { done <- err }})
	select {
	case err := <-done:
		failpoint.Hit(failpoint.HorizonAfter)
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
