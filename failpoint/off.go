//go:build !failpoints

package failpoint

// On says whether this program looks at failpoints.
const On = false

// Hit notes that a point is passed. In this build it is empty and costs nothing.
func Hit(Point) {}

// NoSync says whether the store is to go without fsync. In this build it never is.
func NoSync() bool { return false }
