//go:build !failpoints

package failpoint

import "time"

// On says whether this program looks at failpoints.
const On = false

// Hit notes that a point is passed. In this build it is empty and costs nothing.
func Hit(Point) {}

// Lease is the lease time to use, 0 for the program's own. In this build it is always 0.
func Lease() time.Duration { return 0 }

// Lookup is how long an unclear activity is left alone, 0 for the program's own time. In this build it is always 0.
func Lookup() time.Duration { return 0 }

// Unclear is how long a bulk that was cut off is left alone, 0 for the program's own time. In this build it is always 0.
func Unclear() time.Duration { return 0 }

// NoSync says whether the store is to go without fsync. In this build it never is.
func NoSync() bool { return false }

// NoRoom says whether the free space of the disk is not to be looked at. In this build it always is.
func NoRoom() bool { return false }
