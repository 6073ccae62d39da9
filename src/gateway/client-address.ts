/** Whose request this is when proxies stand in front (contract: ingest.md §3, §9). */
import type { IncomingMessage } from 'node:http'
import { BlockList, isIPv4, isIPv6 } from 'node:net'

export type AddressSet = (address: string) => boolean

/** A predicate over CIDR blocks and single addresses. Entries that are neither are refused with a `RangeError`. */
export function addressSet(blocks: readonly string[]): AddressSet {
  const list = new BlockList()
  for (const block of blocks) {
    const [address = '', prefix] = block.split('/')
    const family = isIPv4(address) ? 'ipv4' : isIPv6(address) ? 'ipv6' : undefined
    if (family === undefined) throw new RangeError(`"${block}" is not an address or a CIDR block`)
    list.addSubnet(address, prefix === undefined ? (family === 'ipv4' ? 32 : 128) : Number(prefix), family)
  }
  return (address) => list.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')
}

/** The client's address: the right-most one in `X-Forwarded-For` that is not a trusted proxy, when the peer is one. */
export function clientAddress(request: IncomingMessage, isTrusted: AddressSet): string | undefined {
  const peer = plainAddress(request.socket.remoteAddress)
  const forwarded = request.headers['x-forwarded-for']
  if (forwarded === undefined || peer === undefined || !isTrusted(peer)) return peer
  const hops = (Array.isArray(forwarded) ? forwarded.join(',') : forwarded).split(',')
  let client = peer
  for (const hop of hops.reverse()) {
    const address = plainAddress(hop.trim())
    if (address === undefined) return client
    client = address
    if (!isTrusted(address)) return client
  }
  return client
}

/** IPv4 out of its IPv6-mapped form; undefined for what is no address. */
function plainAddress(address: string | undefined): string | undefined {
  if (address === undefined) return undefined
  const plain = address.startsWith('::ffff:') && isIPv4(address.slice(7)) ? address.slice(7) : address
  return isIPv4(plain) || isIPv6(plain) ? plain : undefined
}
