/** A destination that takes everything: counts messages and, for those that carry the monotonic time of their sending
 *  (`properties.sentNs`), keeps how long they took. Prints a line of JSON when asked over its IPC channel. */
import { createServer } from 'node:http'

let messages = 0
let requests = 0
const latenciesMs: number[] = []

const server = createServer((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    requests += 1
    const text = Buffer.concat(chunks).toString('latin1')
    const nowNs = Number(process.hrtime.bigint())
    // Cheaper than a parse: the sink shares the processors with what is measured.
    for (let at = text.indexOf('"messageId":'); at >= 0; at = text.indexOf('"messageId":', at + 12)) messages += 1
    const sent = /"sentNs":(\d+)/.exec(text)
    if (sent !== null) latenciesMs.push((nowNs - Number(sent[1]!)) / 1e6)
    response.writeHead(200, ['Content-Length', '0'])
    response.end()
  })
})
server.keepAliveTimeout = 120_000
server.listen(Number(process.argv[2]), '127.0.0.1', () => console.log('ready'))

process.on('message', () => {
  process.send?.({ messages, requests, latenciesMs })
  latenciesMs.length = 0
})
process.on('disconnect', () => process.exit(0))
