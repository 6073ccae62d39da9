// Makes the calls that every client makes: current.mjs HOST WRITE_KEY COUNT.
import { Analytics } from '@segment/analytics-node'
import { makeCalls } from './calls.mjs'

const [host, writeKey, count] = process.argv.slice(2)
// snippet
const analytics = new Analytics({ writeKey, host })
// end
analytics.on('error', (error) => {
  console.error(error)
  process.exitCode = 1
})
makeCalls(analytics, Number(count), (n) => `user-${n}`)
await analytics.closeAndFlush({ timeout: 60_000 })
