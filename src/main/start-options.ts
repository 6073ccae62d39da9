import { isAbsolute, resolve } from 'node:path'
import { AppError } from '../base/errors.ts'

/** What an installation is started with; everything else is configuration (`design.md` §3, environment). */
export interface StartOptions {
  host: string
  port: number
  /** Absolute. */
  dataDirectory: string
  /** What SDKs are told; else the request's own host. */
  publicUrl: string | undefined
  tls: { certificatePath: string; keyPath: string } | undefined
}

/** Reads the options from the environment. Throws `bad_option` for what is not usable. */
export function readStartOptions(environment: NodeJS.ProcessEnv): StartOptions {
  const data = environment['TRIBUTARY_DATA'] || './data'
  const certificatePath = environment['TRIBUTARY_TLS_CERT']
  const keyPath = environment['TRIBUTARY_TLS_KEY']
  if ((certificatePath === undefined) !== (keyPath === undefined)) {
    throw new AppError('bad_option', 400, 'TRIBUTARY_TLS_CERT and TRIBUTARY_TLS_KEY are needed together.')
  }
  for (const [name, instead] of Object.entries(notYet)) {
    if (environment[name]) throw new AppError('bad_option', 400, `${name} is set, but this version has ${instead}.`)
  }
  return {
    host: environment['TRIBUTARY_HOST'] || '127.0.0.1',
    port: readPort(environment['TRIBUTARY_PORT']),
    dataDirectory: isAbsolute(data) ? data : resolve(data),
    publicUrl: readPublicUrl(environment['TRIBUTARY_PUBLIC_URL']),
    tls: certificatePath !== undefined && keyPath !== undefined ? { certificatePath, keyPath } : undefined,
  }
}

// Whoever sets these counts on what they promise, so that going on without it would be worse than not starting.
const notYet = {
  TRIBUTARY_KAFKA_BROKERS: 'only the journal on its own disk',
  TRIBUTARY_DATABASE_URL: 'only the database in its data directory',
}

function readPort(text: string | undefined): number {
  if (text === undefined || text === '') return 4000
  const port = Number(text)
  if (!Number.isInteger(port) || port < 0 || port > 65535) {
    throw new AppError('bad_option', 400, `TRIBUTARY_PORT is "${text}"; it must be a whole number from 0 to 65535.`)
  }
  return port
}

function readPublicUrl(text: string | undefined): string | undefined {
  if (text === undefined || text === '') return undefined
  const url = URL.parse(text)
  if (url === null || !/^https?:$/.test(url.protocol) || url.search !== '' || url.hash !== '' || url.username !== '') {
    const message = `TRIBUTARY_PUBLIC_URL is "${text}"; it must be an address such as https://events.example.org.`
    throw new AppError('bad_option', 400, message)
  }
  return text
}
