/**
 * The kinds of sources there are (contract: sources.md §1). Kinds that exist at Segment carry Segment's id, so that scripts which name one
 * go on working (contract: public-api.md §1.8); a kind of ours has the id `kind_<slug>`. Both are promises.
 */
import type * as schemas from './config-file/schemas.ts'

export interface SourceKind {
  id: string
  /** What `type` says. */
  slug: string
  /** Other words for it, which `type` may say, too. */
  aliases: readonly string[]
  name: string
  description: string
  categories: readonly string[]
  /** Its calls come from people's own devices: the door then knows the person's address and browser. */
  isClientSide: boolean
  /** True for another company's product that calls us by itself. */
  isCloudEventSource: boolean
  status: 'PUBLIC' | 'PUBLIC_BETA' | 'DEPRECATED'
  options: readonly SourceOption[]
  /** It may ask its clients for OAuth (contract: ingest.md, OAuth 2.0). */
  mayUseOAuth: boolean
}

/** A setting of a kind. */
export interface SourceOption {
  name: string
  type: 'string' | 'boolean' | 'map' | 'any' | 'password'
  required: boolean
  label: string
  description: string
  defaultValue?: unknown
}

/** Sources that make a track call of whatever is posted to them. */
export const WEBHOOK_TYPE = 'webhook'
const WEBSITE_TYPE = 'javascript'

const websiteOptions: Record<keyof typeof schemas.websiteSettings.shape, Omit<SourceOption, 'name' | 'required'>> = {
  deliveryStrategy: {
    type: 'map',
    label: 'Delivery strategy',
    description: 'Whether the browser library sends each call alone or collects them.',
    defaultValue: { strategy: 'standard' },
  },
  plan: {
    type: 'map',
    label: 'Plan',
    description: 'The plan in the settings of the browser library. Blocked events are added to it.',
  },
  deviceModeFilters: {
    type: 'boolean',
    label: 'Filters in the page',
    description: 'Filters of device-mode destinations run in the page.',
    defaultValue: true,
  },
}

const webhookOptions: Record<keyof typeof schemas.webhookSettings.shape, Omit<SourceOption, 'name' | 'required'>> = {
  eventName: mapped('Event name', 'Name of the track call; `Webhook Received` when it is not set.'),
  userId: mapped('User id', 'Who it is about.'),
  anonymousId: mapped(
    'Anonymous id',
    'Who it is about, while nobody knows them; new for each request when it is not set.',
  ),
  messageId: mapped('Message id', 'Id of the delivery, so that repeats do no harm.'),
  timestamp: mapped('Timestamp', 'When it happened.'),
  properties: mapped('Properties', 'The body of the request when it is not set.'),
  context: mapped('Context', 'Context of the track call.'),
  integrations: mapped('Integrations', 'Which destinations get it.'),
  webhookToken: { type: 'password', label: 'Token', description: 'What callers must send. Kept as a hash.' },
}

function mapped(label: string, description: string): Omit<SourceOption, 'name' | 'required'> {
  return { type: 'any', label, description: `${description} A value, or mapping directives.` }
}

function optionsOf(options: Record<string, Omit<SourceOption, 'name' | 'required'>>): SourceOption[] {
  return Object.entries(options).map(([name, option]) => ({ name, required: false, ...option }))
}

type Kind = Pick<SourceKind, 'slug' | 'name'> & Partial<SourceKind>

function kindsOf(categories: readonly string[], shared: Partial<SourceKind>, kinds: readonly Kind[]): SourceKind[] {
  return kinds.map((kind) => ({
    id: `kind_${kind.slug}`,
    aliases: [],
    description: '',
    categories,
    isClientSide: false,
    isCloudEventSource: false,
    status: 'PUBLIC',
    options: [],
    mayUseOAuth: false,
    ...shared,
    ...kind,
  }))
}

const mobile = { isClientSide: true, description: 'An app on phones and tablets.' }
const server = { description: 'A server of your own, with the library of its language.' }

export const sourceKinds: readonly SourceKind[] = [
  ...kindsOf(['Website'], { isClientSide: true }, [
    {
      id: 'IqDTy1TpoU',
      slug: WEBSITE_TYPE,
      aliases: ['website'],
      name: 'Javascript',
      description: 'A website, with the browser library.',
      options: optionsOf(websiteOptions),
    },
  ]),
  ...kindsOf(['Mobile'], mobile, [
    { id: 'dZeHygTSD4', slug: 'swift', aliases: ['apple'], name: 'Apple', description: 'An app for Apple devices.' },
    { id: '9EMcTqiKok', slug: 'kotlin-android', name: 'Kotlin (Android)', description: 'An app for Android.' },
    { id: 'B0X0QmvMny', slug: 'react-native', name: 'React Native' },
    { id: 'CvYws1p1ZA', slug: 'flutter', name: 'Flutter' },
    { id: '4zkHfaSKI8', slug: 'unity', name: 'Unity', description: 'A game or an app made with Unity.' },
    { id: 'wcssVcPJrc', slug: 'xamarin', name: 'Xamarin' },
    { slug: 'ios', name: 'iOS', status: 'DEPRECATED', description: 'An app with the former library for iOS.' },
    {
      slug: 'android',
      name: 'Android',
      status: 'DEPRECATED',
      description: 'An app with the former library for Android.',
    },
  ]),
  ...kindsOf(['Server'], server, [
    { id: 'U9mT0bPcI6', slug: 'node', aliases: ['node-js'], name: 'Node.js', mayUseOAuth: true },
    { id: 'XRksQPCr7X', slug: 'python', name: 'Python', mayUseOAuth: true },
    { id: 'yBvi77aEwr', slug: 'go', name: 'Go' },
    { id: 'V6ynUvQgbc', slug: 'java', name: 'Java' },
    { id: 'yMu7LRR59b', slug: 'kotlin', name: 'Kotlin' },
    { id: 'aACTBqIbWT', slug: 'ruby', name: 'Ruby' },
    { id: 'TDO70If4mD', slug: 'php', name: 'PHP' },
    { id: '8HWbgPTt3k', slug: 'net', aliases: ['csharp', 'dotnet'], name: '.NET' },
    { id: 'B6L7qzHmhI', slug: 'clojure', name: 'Clojure' },
    { slug: 'rust', name: 'Rust' },
    {
      id: 'iUM16Md8P2',
      slug: 'http-api',
      name: 'HTTP API',
      description: 'Anything that can send an HTTP request.',
      mayUseOAuth: true,
    },
  ]),
  ...kindsOf(['Server'], { isClientSide: true }, [
    {
      id: '7XqN9rJQOG',
      slug: 'pixel-tracking-api',
      name: 'Pixel Tracking API',
      description: 'An image whose address carries the call.',
    },
    { id: 'TNBRknbbnE', slug: 'amp', name: 'AMP', description: 'AMP pages.', categories: ['Server', 'Mobile'] },
    { id: 'BbupS2SB0b', slug: 'roku', name: 'Roku', description: 'A channel on Roku.', categories: ['Ott'] },
  ]),
  ...kindsOf(['Custom'], {}, [
    {
      slug: WEBHOOK_TYPE,
      name: 'Webhook',
      description: 'Another service that posts to an address; each request becomes a track call.',
      isCloudEventSource: true,
      options: optionsOf(webhookOptions),
    },
  ]),
]

const kindsByWord = new Map(
  sourceKinds.flatMap((kind) => [kind.slug, kind.id, ...kind.aliases].map((word) => [word, kind] as const)),
)

/** By slug, id or alias; undefined when there is no such kind. */
export function findSourceKind(word: string): SourceKind | undefined {
  return kindsByWord.get(word)
}

/** True for browsers and apps, false for servers and whatever we do not know. */
export function isClientSideType(type: string): boolean {
  return findSourceKind(type)?.isClientSide ?? false
}

/** Its settings are those of the browser library, and destinations can run in its pages. */
export function isWebsiteType(type: string): boolean {
  return findSourceKind(type)?.slug === WEBSITE_TYPE
}
