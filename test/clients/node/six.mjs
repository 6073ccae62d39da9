// Makes the calls that every client makes, with numbers as user ids: six.mjs HOST WRITE_KEY COUNT.
import Analytics from 'segment-analytics-node-6'
import { makeCalls } from './calls.mjs'

const [host, writeKey, count] = process.argv.slice(2)
const errorHandler = (error) => {
  console.error(error.message)
  process.exitCode = 1
}
// snippet
const analytics = new Analytics(writeKey, { host, errorHandler })
// end
makeCalls(analytics, Number(count), (n) => 1000 + n)
await analytics.flush()
