/** A site of its own, on another origin than the product: serves pages given as text, and folders of npm packages. */
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { extname, join } from 'node:path'

export interface PageServer {
  /** `http://localhost:PORT`. */
  url: string
  setPage(path: string, html: string): void
  close(): Promise<void>
}

const types: Record<string, string> = { '.js': 'text/javascript; charset=utf-8', '.html': 'text/html; charset=utf-8' }

/** `folders` maps the first part of a path to a folder on disk. */
export async function startPageServer(folders: Record<string, string> = {}): Promise<PageServer> {
  const pages = new Map<string, string>()
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost')
    // Browsers ask every site for it; a 404 would be an error in the console of each page.
    if (pathname === '/favicon.ico') return void response.writeHead(204).end()
    const page = pages.get(pathname)
    if (page !== undefined) return void response.writeHead(200, { 'content-type': types['.html'] }).end(page)
    const [, first = '', ...rest] = pathname.split('/')
    const folder = folders[first]
    try {
      if (folder === undefined) throw new Error('no such folder')
      const file = await readFile(join(folder, ...rest))
      response.writeHead(200, { 'content-type': types[extname(pathname)] ?? 'application/octet-stream' }).end(file)
    } catch {
      response.writeHead(404).end()
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return {
    url: `http://localhost:${port}`,
    setPage: (path, html) => void pages.set(path, html),
    async close() {
      server.closeAllConnections()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}
