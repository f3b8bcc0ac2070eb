// An application on a server that sends with one of Segment's libraries for Node, unmodified and with its own defaults
// but for the flush interval. Argument: a job as JSON. Prints how many calls of each type it has sent; exits 1 if the
// library gives up on one.
//
// Source: the libraries' README files: a custom host is set with `host`, without /v1.

const job = JSON.parse(process.argv[2])
const flushInterval = 200 // ms; the default of 10 s only makes the test longer

// Each returns a function that sends one call and resolves once the library says that it has been delivered.
const libraries = {
  // @segment/analytics-node 3.x and 1.x.
  analyticsNode (name) {
    const { Analytics } = require(name)
    const analytics = new Analytics({ writeKey: job.writeKey, host: job.host, flushInterval })
    const failed = new Promise((resolve, reject) => {
      analytics.on('error', (error) => reject(new Error(`${name}: ${error.code}: ${error.reason}`)))
    })
    failed.catch(() => {}) // seen by the race below
    const send = (type, call) => Promise.race([failed, new Promise((resolve, reject) => {
      analytics[type](call, (error) => error ? reject(error) : resolve())
    })])
    return { send, close: () => analytics.closeAndFlush({ timeout: job.deadline }) }
  },
  // analytics-node 6, the classic one.
  classic () {
    const Analytics = require('analytics-node')
    const failed = []
    const analytics = new Analytics(job.writeKey, {
      host: job.host, flushInterval, errorHandler: (error) => failed.push(error)
    })
    const send = (type, call) => new Promise((resolve, reject) => {
      analytics[type](call, (error) => error ? reject(error) : resolve())
    })
    return { send, close: async () => { if (failed.length > 0) throw failed[0] } }
  }
}

const open = {
  'analytics-node-3': () => libraries.analyticsNode('@segment/analytics-node'),
  'analytics-node-1': () => libraries.analyticsNode('analytics-node-1'),
  'analytics-node-classic': () => libraries.classic()
}

async function main () {
  const { send, close } = open[job.client]()
  const sent = { identify: 0, track: 0, page: 0 }
  for (let seq = 1; seq <= job.rounds; seq++) {
    const calls = []
    const call = (type, body) => { sent[type]++; calls.push(send(type, body)) }
    for (const userId of job.users) {
      call('identify', { userId, traits: { email: `${userId}@example.test`, city: job.city, Seq: seq } })
      call('track', { userId, event: 'Order Completed', properties: { total: 12.5 } })
      if (seq === 1) call('page', { userId, name: 'Home' })
    }
    // A user's next call is made after the last one was delivered: sent at once they would be in different batches, whose
    // order nobody promises.
    await delivered(calls, seq)
    await new Promise((resolve) => setTimeout(resolve, 5)) // timestamps have milliseconds
  }
  await close()
  console.log(JSON.stringify(sent))
}

// delivered resolves once all calls of a round are delivered.
async function delivered (calls, seq) {
  let done = 0
  for (const call of calls) call.then(() => { done++ }, () => {})
  let timer
  const late = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`round ${seq}: ${done} of ${calls.length} calls delivered`)), job.deadline)
  })
  await Promise.race([late, Promise.all(calls)])
  clearTimeout(timer)
}

main().catch((error) => {
  console.error(error)
  process.exit(1)
})
