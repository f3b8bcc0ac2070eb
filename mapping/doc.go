// Package mapping turns Segment identify calls into changes of Freshmarketer contacts.
//
// It promises: the same record, catalogue and calls always give the same change; whatever order calls arrive in, a field
// ends with the value of the newest call that set or emptied it; leaving a trait out never empties a field that no call of
// its source had set; and every trait that does not reach the contact has a reason from a closed list.
//
// It does no I/O, reads no clock and logs nothing. The pieces:
//
//   - [Catalogue] knows the account's fields: which label is which field, which may be written, what each accepts.
//   - [Record] is what is remembered of one user: when each field was set, by whom, a hash of what was sent.
//   - [Fold] takes a record and the waiting calls of its user and returns the [Change] to send, the record as it is once
//     that change has succeeded, and one [Outcome] per call.
//
// Source: Segment docs, Freshmarketer destination, for labels, required keys and emptying; Segment docs, Spec: Identify,
// for reserved traits; Freshworks CRM API reference, "Contacts" and "Field metadata", for fields and value formats.
package mapping
