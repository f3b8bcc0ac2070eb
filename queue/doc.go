// Package queue keeps events safe between the HTTP door and the Freshmarketer API. It is the only package that
// knows NATS, and it stores bytes: what an event means is not its business.
//
// What it promises:
//
//   - Publish returns nil only after the events are on disk (fsync). Events that arrive together share one pack,
//     which is one JetStream message and one fsync.
//   - The owner of the log reads every event in the order in which it was stored, again after any crash from the
//     floor below which everything is settled.
//   - A settlement (a user's new record, the counters, the floor) is one atomic batch: all of it is stored, or nothing.
//     It is compared with what was read, so a second owner could not overwrite it unseen.
//   - A dead letter is stored before the settlement that counts it.
//   - The reader never hands out an event beyond the horizon, and the horizon is stored first. After a crash the owner
//     sends nothing before it has read as far as the horizon, so what was merged before the crash is merged again.
//
// The streams (names and subjects carry the configured prefix):
//
//	EVENTS   events.<p>            packs: the logs. Refuses new events when full, never drops old ones
//	         activities.<p>        the same again for activities: read, settled and counted apart, at its own pace
//	STATE    state.user.<u> …      last value per subject: records, floors, horizons, counters, identity, account
//	DEAD     dead.<u>.<position>   dead letters with the original bytes
//	JOURNAL  journal.<u>           one small record per outcome; bounded, may lose its tail
//	AUDIT    audit                 what operators did; bounded, the oldest lines go first
//
// Sources of the facts about JetStream in this package: NATS documentation and the nats-server 2.15 source.
package queue
