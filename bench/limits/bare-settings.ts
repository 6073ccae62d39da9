/** Limit for settings: a Node server that knows one answer, given as JSON in the environment, and gives it to every request. */
import { createServer } from 'node:http'

const { body, headers } = JSON.parse(process.env['BENCH_ANSWER'] ?? '{}') as { body: string; headers: string[] }
const bytes = Buffer.from(body)

const server = createServer((_request, response) => {
  response.writeHead(200, headers)
  response.end(bytes)
})
server.listen(Number(process.argv[2]), '127.0.0.1', () => console.log('ready'))
