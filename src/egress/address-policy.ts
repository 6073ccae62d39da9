/**
 * Which addresses an outgoing request may reach. Pure: text of an address in, verdict out.
 *
 * The rule for IPv4 is a list of what is refused (the special-purpose registry of IANA, RFC 6890 and later, and the one
 * metadata service that sits on a public address). The rule for IPv6 is the other way round: only global unicast, 2000::/3, is
 * for us, less what is special in it. Forms of IPv6 that carry an IPv4 address and that a network really translates
 * (mapped, NAT64, 6to4, ISATAP) are judged by the address they carry as well.
 */
import { isIP } from 'node:net'

export interface AddressPolicy {
  /** Why a connection to the address is refused, in a few words (`loopback`, `private network`); undefined when it may be made. */
  refusal(address: string): string | undefined
}

interface Range {
  family: 4 | 6
  first: bigint
  last: bigint
  name: string
}

interface Address {
  family: 4 | 6
  value: bigint
}

/** A policy that refuses everything special except the given ranges (`10.0.0.0/8`, `fd00::/8`, a bare address).
 *  Ranges that cannot be read allow nothing. */
export function createAddressPolicy(allow: readonly string[]): AddressPolicy {
  const allowed = allow.flatMap((text) => parseRange(text) ?? [])
  return {
    refusal(text) {
      const address = parseAddress(text)
      if (address === undefined) return 'not an address'
      if (allowed.some((range) => contains(range, address))) return undefined
      return address.family === 4 ? refusedIpv4(address) : refusedIpv6(address)
    },
  }
}

/** Whether the text is a range that `egress.allow` takes: an address, or an address with a prefix length. */
export function isAddressRange(text: string): boolean {
  return parseRange(text) !== undefined
}

const refusedRanges: Range[] = [
  named('0.0.0.0/8', 'unspecified'),
  named('10.0.0.0/8', 'private network'),
  named('100.64.0.0/10', 'shared address space'),
  named('127.0.0.0/8', 'loopback'),
  named('169.254.0.0/16', 'link-local, metadata service'),
  named('172.16.0.0/12', 'private network'),
  named('192.0.0.0/24', 'reserved'),
  named('192.0.2.0/24', 'documentation'),
  named('192.88.99.0/24', 'reserved'),
  named('192.168.0.0/16', 'private network'),
  named('198.18.0.0/15', 'benchmarking'),
  named('198.51.100.0/24', 'documentation'),
  named('203.0.113.0/24', 'documentation'),
  named('224.0.0.0/4', 'multicast'),
  named('240.0.0.0/4', 'reserved, broadcast'),
  // Azure's host agent, which hands out credentials to the machine, has a public address.
  named('168.63.129.16/32', 'metadata service'),
  // The names below are for the log: what is not in 2000::/3 is refused without them.
  named('::/128', 'unspecified'),
  named('::1/128', 'loopback'),
  named('fc00::/7', 'private network'),
  named('fe80::/10', 'link-local'),
  named('ff00::/8', 'multicast'),
  // Teredo, benchmarking, ORCHID and the rest of the IETF's own block.
  named('2001::/23', 'reserved'),
  named('2001:db8::/32', 'documentation'),
  named('3fff::/20', 'documentation'),
]
const globalUnicast = named('2000::/3', 'global unicast')
const nat64 = named('64:ff9b::/96', 'NAT64')
const sixToFour = named('2002::/16', '6to4')

function refusedIpv4(address: Address): string | undefined {
  return refusedRanges.find((range) => contains(range, address))?.name
}

function refusedIpv6(address: Address): string | undefined {
  const special = refusedRanges.find((range) => contains(range, address))
  if (special) return special.name
  const embedded = embeddedIpv4(address)
  const refused = embedded && refusedIpv4(embedded)
  if (refused !== undefined) return `${refused}, inside an IPv6 address`
  return contains(globalUnicast, address) || contains(nat64, address) ? undefined : 'not a global address'
}

/** The IPv4 address that a network would unpack from this one. */
function embeddedIpv4(address: Address): Address | undefined {
  if (contains(nat64, address)) return ipv4(address.value)
  if (contains(sixToFour, address)) return ipv4(address.value >> 80n)
  // ISATAP: the last 64 bits are 0000:5efe or 0200:5efe and the address.
  const interfaceId = (address.value >> 32n) & 0xffff_ffffn
  return (interfaceId & 0xfdff_ffffn) === 0x5efen ? ipv4(address.value) : undefined
}

function ipv4(value: bigint): Address {
  return { family: 4, value: value & 0xffff_ffffn }
}

function contains(range: Range, address: Address): boolean {
  return range.family === address.family && address.value >= range.first && address.value <= range.last
}

function named(text: string, name: string): Range {
  // Only for the ranges above, which can be read.
  return { ...parseRange(text)!, name }
}

function parseRange(text: string): Range | undefined {
  const [base = '', length, ...rest] = text.trim().split('/')
  const address = parseAddress(base)
  if (address === undefined || rest.length > 0 || (length !== undefined && !/^\d{1,3}$/.test(length))) return undefined
  const bits = address.family === 4 ? 32 : 128
  const prefix = length === undefined ? bits : Number(length)
  if (prefix > bits) return undefined
  const hostBits = BigInt(bits - prefix)
  const first = (address.value >> hostBits) << hostBits
  return { family: address.family, first, last: first + (1n << hostBits) - 1n, name: text }
}

/** An IPv4-mapped address is the IPv4 address: the system connects to that. */
function parseAddress(text: string): Address | undefined {
  // A zone (`fe80::1%eth0`) says on which link, not to whom.
  const plain = text.replace(/%.*$/, '')
  if (isIP(plain) === 4) return { family: 4, value: ipv4Value(plain) }
  if (isIP(plain) !== 6) return undefined
  const value = ipv6Value(plain)
  return value >> 32n === 0xffffn ? ipv4(value) : { family: 6, value }
}

function ipv4Value(text: string): bigint {
  return text.split('.').reduce((value, part) => (value << 8n) | BigInt(part), 0n)
}

function ipv6Value(text: string): bigint {
  const [head = '', tail] = text.split('::')
  const left = groups(head)
  const right = groups(tail ?? '')
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length
  return [...left, ...Array<bigint>(zeros).fill(0n), ...right].reduce((value, group) => (value << 16n) | group, 0n)
}

/** The 16-bit groups of a part of an IPv6 address, whose last may be written as an IPv4 address. */
function groups(text: string): bigint[] {
  if (text === '') return []
  return text.split(':').flatMap((part) => {
    if (!part.includes('.')) return [BigInt(`0x${part}`)]
    const value = ipv4Value(part)
    return [value >> 16n, value & 0xffffn]
  })
}
