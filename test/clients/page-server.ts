/** A site of its own, on another origin than the product: serves pages given as text, and folders of npm packages. */
import { readFile, stat } from 'node:fs/promises'
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import { extname, join } from 'node:path'

export interface PageServer {
  /** `http://localhost:PORT`. */
  url: string
  setPage(path: string, html: string): void
  /** Passes what is below `/<name>/` on to `target`, without that part of the path, as a first-party proxy does. */
  proxy(name: string, target: string): void
  close(): Promise<void>
}

const types: Record<string, string> = { '.js': 'text/javascript; charset=utf-8', '.html': 'text/html; charset=utf-8' }

/** `folders` maps the first part of a path to a folder on disk. */
export async function startPageServer(folders: Record<string, string> = {}): Promise<PageServer> {
  const pages = new Map<string, string>()
  const targets = new Map<string, string>()
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost')
    // Browsers ask every site for it; a 404 would be an error in the console of each page.
    if (pathname === '/favicon.ico') return void response.writeHead(204).end()
    const page = pages.get(pathname)
    if (page !== undefined) return void response.writeHead(200, { 'content-type': types['.html'] }).end(page)
    const [, first = '', ...rest] = pathname.split('/')
    const target = targets.get(first)
    if (target !== undefined) return passOn(`/${first}`, target, request, response)
    const folder = folders[first]
    const found = folder === undefined ? undefined : await find(folder, rest.join('/'))
    if (found === undefined) return void response.writeHead(404).end()
    // A module that is imported without its ending must know where it really lies, for its own imports.
    if (found !== rest.join('/')) return void response.writeHead(302, { location: `/${first}/${found}` }).end()
    const file = await readFile(join(folder!, found))
    response.writeHead(200, { 'content-type': types[extname(found)] ?? 'application/octet-stream' }).end(file)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return {
    url: `http://localhost:${port}`,
    setPage: (path, html) => void pages.set(path, html),
    proxy: (name, target) => void targets.set(name, target),
    async close() {
      server.closeAllConnections()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}

/** The file that a module calls `path`, as a bundler would find it. */
async function find(folder: string, path: string): Promise<string | undefined> {
  for (const candidate of [path, `${path}.js`, `${path}/index.js`]) {
    const found = await stat(join(folder, candidate)).catch(() => undefined)
    if (found?.isFile()) return candidate
  }
  return undefined
}

function passOn(prefix: string, target: string, request: IncomingMessage, response: ServerResponse): void {
  const { method, headers, url = '' } = request
  const forwarded = { 'x-forwarded-host': headers.host, 'x-forwarded-prefix': prefix, 'x-forwarded-proto': 'http' }
  const options = { method, headers: { ...headers, ...forwarded } }
  const onward = httpRequest(target + url.slice(prefix.length), options, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers)
    answer.pipe(response)
  })
  onward.on('error', () => response.destroy())
  request.pipe(onward)
}
