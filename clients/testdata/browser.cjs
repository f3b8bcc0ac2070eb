// A visitor's browser: real Chromium, headless, on a page that uses @segment/analytics-next. Argument: a job as JSON.
// Prints how many calls of each type the page has made, and stays open until standard input ends. It looks at the traffic and changes none of it, but requests to
// other machines are stopped, and fail the job.

const { chromium } = require('playwright-core')

const job = JSON.parse(process.argv[2])

async function main () {
  const context = await chromium.launchPersistentContext(job.profile, {
    executablePath: job.chromium,
    headless: true,
    args: [
      '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', '--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1'
    ]
  })
  try {
    console.log(JSON.stringify(await visit(context)))
    // What the last page left behind is still on its way.
    for await (const _ of process.stdin);
  } finally {
    await context.close()
  }
}

async function visit (context) {
  const accepted = new Set() // "user seq" of every identify that was answered with 200
  const foreign = []
  const said = []
  await context.route((url) => url.hostname !== '127.0.0.1', (route) => {
    foreign.push(route.request().url())
    return route.abort()
  })
  context.on('response', (response) => {
    const request = response.request()
    if (request.method() !== 'POST' || response.status() !== 200) return
    const body = JSON.parse(request.postData() ?? '{}')
    for (const event of body.batch ?? [body]) {
      if (event.type === 'identify') accepted.add(`${event.userId} ${event.traits.Seq}`)
    }
  })
  const page = context.pages()[0] ?? await context.newPage()
  page.on('console', (message) => said.push(message.text()))
  page.on('pageerror', (error) => said.push(String(error)))

  const sent = { identify: 0, track: 0, page: 0 }
  try {
    for (let seq = 1; seq <= job.rounds; seq++) {
      const leave = job.leave && seq === job.rounds
      await page.goto(job.page)
      const made = await inTime(page.evaluate(([job, seq]) => window.visit(job, seq), [job, seq]),
        () => 'the library took no calls; has it got its settings?')
      for (const type in made) sent[type] += made[type]
      // Leaving flushes what the library still holds, in requests that outlive the page. Nobody can look at those from
      // here; the service's books will show them.
      if (leave) await page.goto(new URL('/bye', job.page).href)
      else await delivered(accepted, job.users.map((user) => `${user} ${seq}`))
    }
  } catch (error) {
    throw new Error(`${error.message}\nThe page said:\n${said.join('\n')}`)
  }
  if (foreign.length > 0) throw new Error(`requests to other machines: ${foreign.join(' ')}`)
  return sent
}

// delivered resolves once all of wanted are accepted. A page does not know when the library has delivered a call.
async function delivered (accepted, wanted) {
  let missing
  const look = async () => {
    while ((missing = wanted.filter((one) => !accepted.has(one))).length > 0) {
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
  await inTime(look(), () => `not delivered: ${missing.join(', ')}`)
}

// inTime is what work comes to, or an error that explains what is missing when the job's time is up.
async function inTime (work, explain) {
  let timer
  const late = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new Error(explain())), job.deadline)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

main().catch((error) => {
  console.error(error)
  process.exit(1)
})
