package sesguard

import "time"

const opBudget = "sesguard retry budget"

// The retry budget: when everything fails, a guard's retries are at most a
// fifth of its first attempts, and one a second, beyond the first hundred. So
// they cannot multiply an outage. A retry that finds no credit waits its turn:
// the documented waits get longer, never shorter.
const (
	retryCost  = time.Second   // so that a service that sends little can always retry
	firstEarns = retryCost / 5 // each first attempt
	cureEarns  = 2 * retryCost // each retry that succeeds: its own cost, and one more, so that recovery speeds up
	budgetSize = 100           // retries at once: a burst of trouble is retried on schedule
)

func newBudget() *gate {
	const full = (budgetSize - 1) * retryCost // the last one passes without credit
	return &gate{unit: retryCost, most: full, credit: full}
}
