/** At which address the client reaches this installation, as it must be told in settings, script and snippet. */
import type { IncomingMessage } from 'node:http'
import type { PublicAddress } from '../browser/index.ts'
import type { AddressSet } from './client-address.ts'

export interface AddressOptions {
  /** `TRIBUTARY_PUBLIC_URL`: wins over what a request says. */
  publicAddress: PublicAddress | undefined
  /** True when this door itself speaks TLS. */
  isTls: boolean
  isTrustedProxy: AddressSet
}

// Host name, IPv4 or bracketed IPv6 address, with or without a port. It goes into scripts and pages, so nothing else passes.
const hostPattern = /^(?:[\w.-]+|\[[\da-fA-F:.]+\])(?::\d{1,5})?$/
// The path that a proxy has taken off, for an installation below a path of the site's own host.
const prefixPattern = /^(?:\/[\w.~-]+)*$/

/** The public address, or undefined when the request names no usable host. A page that came over https is never told `http`:
 *  its browser would refuse every call. */
export function publicAddressFor(request: IncomingMessage, options: AddressOptions): PublicAddress | undefined {
  const address = options.publicAddress ?? addressOfRequest(request, options)
  if (address?.protocol === 'http' && isSecurePage(request)) return { ...address, protocol: 'https' }
  return address
}

/** Reads `TRIBUTARY_PUBLIC_URL`; a path in it is one that a proxy takes off. */
export function parsePublicUrl(publicUrl: string): PublicAddress {
  const { protocol, host, pathname } = new URL(publicUrl)
  return { protocol: protocol === 'https:' ? 'https' : 'http', host: host + pathname.replace(/\/+$/, '') }
}

function addressOfRequest(request: IncomingMessage, options: AddressOptions): PublicAddress | undefined {
  const { headers } = request
  const forwardedHost = headers['x-forwarded-host']
  const forwardedProtocol = headers['x-forwarded-proto']
  const forwardedPrefix = headers['x-forwarded-prefix']
  const isForwarded =
    (forwardedHost ?? forwardedProtocol ?? forwardedPrefix) !== undefined &&
    options.isTrustedProxy(request.socket.remoteAddress?.replace('::ffff:', '') ?? '')
  const host = (isForwarded ? first(forwardedHost) : undefined) ?? headers.host
  if (host === undefined || !hostPattern.test(host)) return undefined
  const isHttps = options.isTls || (isForwarded && first(forwardedProtocol) === 'https')
  const prefix = (isForwarded ? first(forwardedPrefix) : undefined)?.replace(/\/+$/, '') ?? ''
  if (!prefixPattern.test(prefix)) return undefined
  return { protocol: isHttps ? 'https' : 'http', host: host + prefix }
}

/** Proxies in a row may each have added a value; the first is what the client said to the outermost one. */
function first(header: string | string[] | undefined): string | undefined {
  const text = Array.isArray(header) ? header[0] : header
  return text?.split(',', 1)[0]?.trim() || undefined
}

function isSecurePage({ headers }: IncomingMessage): boolean {
  return (headers.origin ?? headers.referer)?.startsWith('https:') ?? false
}
