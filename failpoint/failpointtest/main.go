// Command failpointtest passes every failpoint three times: the tests of failpoint watch how it ends.
package main

import (
	"fmt"

	"github.com/freshrelay/freshrelay/failpoint"
)

func main() {
	for range 3 {
		for _, p := range failpoint.Points() {
			failpoint.Hit(p)
			fmt.Println(p)
		}
	}
}
