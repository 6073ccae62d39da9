/** Limit for ingest: the least a Node server can do with a body: read it, parse it as JSON, answer 200. Nothing is kept. */
import { createServer } from 'node:http'

const answer = '{"success":true}'
const headers = ['Content-Type', 'application/json', 'Content-Length', String(answer.length)]

const server = createServer((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    const body = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)
    JSON.parse(body.toString())
    response.writeHead(200, headers)
    response.end(answer)
  })
})
server.listen(Number(process.argv[2]), '127.0.0.1', () => console.log('ready'))
