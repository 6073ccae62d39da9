/** The kinds of sources there are (contract: sources.md §1). */

export type SourceCategory = 'Website' | 'Mobile' | 'Server' | 'Raw' | 'Webhook'

export interface SourceKind {
  /** Catalogue slug: what `type` says. */
  slug: string
  name: string
  category: SourceCategory
}

/** Sources that make a track call of whatever is posted to them. */
export const WEBHOOK_TYPE = 'webhook'
/** Sources with settings of the browser library. */
const websiteTypes: ReadonlySet<string> = new Set(['javascript', 'website'])
/** Sources that may ask for OAuth (contract: ingest.md, OAuth 2.0). */
const oauthTypes: ReadonlySet<string> = new Set(['http-api', 'node', 'python'])

export const sourceKinds: readonly SourceKind[] = [
  { slug: 'javascript', name: 'Javascript', category: 'Website' },
  { slug: 'website', name: 'Website', category: 'Website' },
  { slug: 'swift', name: 'Apple', category: 'Mobile' },
  { slug: 'ios', name: 'iOS', category: 'Mobile' },
  { slug: 'kotlin-android', name: 'Kotlin (Android)', category: 'Mobile' },
  { slug: 'android', name: 'Android', category: 'Mobile' },
  { slug: 'react-native', name: 'React Native', category: 'Mobile' },
  { slug: 'flutter', name: 'Flutter', category: 'Mobile' },
  { slug: 'unity', name: 'Unity', category: 'Mobile' },
  { slug: 'xamarin', name: 'Xamarin', category: 'Mobile' },
  { slug: 'kotlin', name: 'Kotlin', category: 'Mobile' },
  { slug: 'node', name: 'Node.js', category: 'Server' },
  { slug: 'python', name: 'Python', category: 'Server' },
  { slug: 'go', name: 'Go', category: 'Server' },
  { slug: 'java', name: 'Java', category: 'Server' },
  { slug: 'ruby', name: 'Ruby', category: 'Server' },
  { slug: 'php', name: 'PHP', category: 'Server' },
  { slug: 'net', name: '.NET', category: 'Server' },
  { slug: 'csharp', name: 'C#', category: 'Server' },
  { slug: 'clojure', name: 'Clojure', category: 'Server' },
  { slug: 'rust', name: 'Rust', category: 'Server' },
  { slug: 'http-api', name: 'HTTP API', category: 'Raw' },
  { slug: 'pixel-tracking-api', name: 'Pixel Tracking API', category: 'Raw' },
  { slug: 'amp', name: 'AMP', category: 'Raw' },
  { slug: 'roku', name: 'Roku', category: 'Raw' },
  { slug: WEBHOOK_TYPE, name: 'Webhook', category: 'Webhook' },
]

/** Sources whose calls come from people's own devices: the door then knows the person's address and browser. */
const clientSideTypes: ReadonlySet<string> = new Set([
  ...sourceKinds.filter(({ category }) => category === 'Website' || category === 'Mobile').map(({ slug }) => slug),
  'pixel-tracking-api',
  'amp',
  'roku',
])

/** True for browsers and apps, false for servers and whatever we do not know. */
export function isClientSideType(type: string): boolean {
  return clientSideTypes.has(type)
}

export function isWebsiteType(type: string): boolean {
  return websiteTypes.has(type)
}

export function mayUseOAuth(type: string): boolean {
  return oauthTypes.has(type)
}
