/**
 * Believable traffic of a small web shop: anonymous visits, sign-ups, carts, orders, refunds; people with several sessions and
 * devices, some with a wrong clock; now and then a message twice, as SDKs do after a lost answer. The same seed and start
 * time give the same messages, so that tests and benchmarks can count on them.
 */
import { createRandom, type Random } from '../base/seeded-random.ts'

export interface ShopMessage {
  type: 'identify' | 'track' | 'page' | 'group'
  messageId: string
  anonymousId: string
  userId?: string
  timestamp: string
  sentAt: string
  event?: string
  name?: string
  groupId?: string
  properties?: Record<string, unknown>
  traits?: Record<string, unknown>
  context: Record<string, unknown>
}

export interface Shop {
  /** The next message, as an SDK would send it at `atMs`. */
  next(atMs: number): ShopMessage
  /** What was made so far, for people to compare with what arrived. */
  readonly made: ShopCounts
}

export interface ShopCounts {
  messages: number
  /** Messages that were made a second time with the same id. */
  duplicates: number
  signUps: number
  orders: number
  refunds: number
  revenue: number
}

interface Product {
  product_id: string
  sku: string
  name: string
  category: string
  brand: string
  price: number
}

interface Person {
  userId: string
  name: string
  email: string
  plan: string
  company: { id: string; name: string } | undefined
  hasSignedUp: boolean
  devices: Device[]
}

interface Device {
  anonymousId: string
  /** How far its clock is off. */
  skewMs: number
  context: Record<string, unknown>
}

interface Session {
  person: Person
  device: Device
  cart: { product: Product; quantity: number }[]
  viewed: Product | undefined
  steps: Step[]
}

type Step = 'landing' | 'list' | 'product' | 'add' | 'signUp' | 'company' | 'checkout' | 'order' | 'refund' | 'leave'

const PEOPLE = 5_000
const SESSIONS_AT_ONCE = 50
const DUPLICATE_CHANCE = 0.01
const WRONG_CLOCK_CHANCE = 0.05

export function createShop(seed: number): Shop {
  const random = createRandom(seed)
  const products = makeProducts(random)
  const people = new Map<number, Person>()
  const made: ShopCounts = { messages: 0, duplicates: 0, signUps: 0, orders: 0, refunds: 0, revenue: 0 }
  const sessions: Session[] = []
  let toRepeat: ShopMessage | undefined

  function personAt(index: number): Person {
    const known = people.get(index)
    if (known !== undefined) return known
    const person = makePerson(random, index)
    people.set(index, person)
    return person
  }

  function startSession(): Session {
    const person = personAt(random.integer(PEOPLE))
    return {
      person,
      device: random.pick(person.devices),
      cart: [],
      viewed: undefined,
      steps: planSteps(random, person),
    }
  }

  return {
    made,
    next(atMs) {
      made.messages += 1
      if (toRepeat !== undefined && random.chance(0.5)) {
        const repeated = { ...toRepeat, sentAt: iso(atMs) }
        toRepeat = undefined
        made.duplicates += 1
        return repeated
      }
      while (sessions.length < SESSIONS_AT_ONCE) sessions.push(startSession())
      const at = random.integer(sessions.length)
      // `at` is inside the list, which was just filled.
      const session = sessions[at]!
      const message = takeStep(session, products, random, made, atMs)
      if (session.steps.length === 0) sessions.splice(at, 1)
      if (toRepeat === undefined && random.chance(DUPLICATE_CHANCE)) toRepeat = message
      return message
    },
  }
}

function planSteps(random: Random, person: Person): Step[] {
  const steps: Step[] = ['landing']
  for (let looks = random.integer(5); looks >= 0; looks--) {
    steps.push('list', 'product')
    if (random.chance(0.3)) steps.push('add')
  }
  if (!person.hasSignedUp && random.chance(0.25)) steps.push('signUp')
  if (person.company !== undefined && random.chance(0.1)) steps.push('company')
  if (steps.includes('add') && random.chance(0.5)) {
    steps.push('checkout', 'order')
    if (random.chance(0.05)) steps.push('refund')
  }
  steps.push('leave')
  return steps
}

function takeStep(session: Session, products: Product[], random: Random, made: ShopCounts, atMs: number): ShopMessage {
  // A session is dropped from the list as soon as it has no steps left.
  const step = session.steps.shift()!
  const message = envelope(session, random, atMs)
  switch (step) {
    case 'landing':
      return page(message, 'Home', '/', random)
    case 'list':
      return page(message, 'Products', `/c/${random.pick(categories).toLowerCase()}`, random)
    case 'product': {
      const product = random.pick(products)
      session.viewed = product
      return track(message, 'Product Viewed', { ...product, currency: 'EUR', value: product.price })
    }
    case 'add': {
      const product = session.viewed ?? random.pick(products)
      const quantity = 1 + random.integer(3)
      session.cart.push({ product, quantity })
      return track(message, 'Product Added', {
        cart_id: `cart-${session.device.anonymousId.slice(0, 8)}`,
        ...product,
        quantity,
      })
    }
    case 'signUp':
      session.person.hasSignedUp = true
      made.signUps += 1
      message.userId = session.person.userId
      return { ...message, type: 'identify', traits: traitsOf(session.person, message.timestamp) }
    case 'company':
      return {
        ...message,
        type: 'group',
        groupId: session.person.company?.id ?? 'none',
        traits: { name: session.person.company?.name, employees: 3 + random.integer(400), plan: session.person.plan },
      }
    case 'checkout':
      return track(message, 'Checkout Started', orderOf(session, random))
    case 'order': {
      const order = orderOf(session, random)
      made.orders += 1
      made.revenue = Math.round((made.revenue + order.revenue) * 100) / 100
      return track(message, 'Order Completed', order)
    }
    case 'refund':
      made.refunds += 1
      return track(message, 'Order Refunded', orderOf(session, random))
    case 'leave':
      return track(message, 'Session Ended', {
        pages: 1 + random.integer(9),
        seconds: Math.round(random.next() * 6000) / 10,
      })
  }
}

function envelope(session: Session, random: Random, atMs: number): ShopMessage {
  const { person, device } = session
  // The device stamps both times with its own clock; the server corrects the first by the second.
  const calledMs = atMs - random.integer(2_000) + device.skewMs
  const message: ShopMessage = {
    type: 'track',
    messageId: `demo-${random.uuid()}`,
    anonymousId: device.anonymousId,
    timestamp: iso(calledMs),
    sentAt: iso(atMs + device.skewMs),
    context: device.context,
  }
  if (person.hasSignedUp) message.userId = person.userId
  return message
}

function track(message: ShopMessage, event: string, properties: Record<string, unknown>): ShopMessage {
  return { ...message, type: 'track', event, properties }
}

function page(message: ShopMessage, name: string, path: string, random: Random): ShopMessage {
  const search = random.chance(0.2) ? `?utm_source=${random.pick(campaigns)}&utm_medium=cpc` : ''
  const properties = {
    name,
    path,
    url: `https://shop.example${path}${search}`,
    search,
    title: `${name} – The Example Shop`,
    referrer: random.pick(referrers),
  }
  return { ...message, type: 'page', name, properties }
}

function orderOf(session: Session, random: Random) {
  const lines = session.cart.map(({ product, quantity }) => ({ ...product, quantity }))
  const subtotal = lines.reduce((sum, line) => sum + line.price * line.quantity, 0)
  const shipping = subtotal > 50 ? 0 : 4.9
  return {
    order_id: `order-${random.uuid().slice(0, 8)}`,
    revenue: Math.round(subtotal * 100) / 100,
    shipping,
    tax: Math.round(subtotal * 19) / 100,
    total: Math.round((subtotal * 1.19 + shipping) * 100) / 100,
    currency: 'EUR',
    coupon: random.chance(0.1) ? 'WELCOME10' : null,
    products: lines,
  }
}

function traitsOf(person: Person, createdAt: string): Record<string, unknown> {
  return {
    name: person.name,
    email: person.email,
    plan: person.plan,
    createdAt,
    company: person.company ?? null,
    newsletter: person.email.length % 2 === 0,
  }
}

function makePerson(random: Random, index: number): Person {
  const first = random.pick(firstNames)
  const last = random.pick(lastNames)
  const devices: Device[] = []
  for (let count = 1 + (random.chance(0.3) ? 1 : 0); count > 0; count--) devices.push(makeDevice(random))
  return {
    userId: `user-${index}`,
    name: `${first} ${last}`,
    email: `${first}.${last}.${index}@mail.example`
      .toLowerCase()
      .normalize('NFD')
      .replace(/[^a-z0-9.@-]/g, ''),
    plan: random.pick(['free', 'plus', 'pro']),
    company: random.chance(0.2) ? random.pick(companies) : undefined,
    hasSignedUp: random.chance(0.3),
    devices,
  }
}

function makeDevice(random: Random): Device {
  const isPhone = random.chance(0.6)
  return {
    anonymousId: random.uuid(),
    skewMs: random.chance(WRONG_CLOCK_CHANCE) ? (random.integer(7200) - 3600) * 1000 : 0,
    context: {
      library: { name: 'analytics.js', version: 'next-1.84.3' },
      locale: random.pick(['de-DE', 'en-GB', 'fr-FR', 'ja-JP']),
      timezone: random.pick(['Europe/Berlin', 'Europe/London', 'Asia/Tokyo']),
      userAgent: isPhone ? phoneAgent : desktopAgent,
      screen: isPhone ? { width: 390, height: 844, density: 3 } : { width: 1440, height: 900, density: 2 },
    },
  }
}

function makeProducts(random: Random): Product[] {
  return Array.from({ length: 200 }, (_, index) => ({
    product_id: `p-${1000 + index}`,
    sku: `SKU-${random.integer(90_000) + 10_000}`,
    name: `${random.pick(adjectives)} ${random.pick(things)}`,
    category: random.pick(categories),
    brand: random.pick(brands),
    price: Math.round(500 + random.next() * 15_000) / 100,
  }))
}

const iso = (ms: number) => new Date(ms).toISOString()

const categories = ['Kitchen', 'Garden', 'Books', 'Toys', 'Sports']
const brands = ['Nordlicht', 'Tanuki', 'Fjord & Co', 'Bergmann']
const adjectives = ['Red', 'Quiet', 'Folding', 'Tiny', 'Copper', 'Wooden']
const things = ['Teapot', 'Lamp', 'Bicycle Bell', 'Notebook', 'Watering Can', 'Kite']
const firstNames = ['Zoë', 'Jonas', 'Aiko', 'Nour', 'Olu', 'Marie', 'Søren', 'Lucía']
const lastNames = ['Meier', 'Tanaka', 'Okafor', 'Haddad', 'Lindqvist', 'Rossi', 'O’Brien']
const companies = [
  { id: 'org-1', name: 'Blue Door Ltd' },
  { id: 'org-2', name: 'Käse & Söhne' },
  { id: 'org-3', name: 'Umi KK' },
]
const campaigns = ['newsletter', 'search', 'social']
const referrers = ['', 'https://search.example/', 'https://social.example/feed']
const phoneAgent =
  'Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.1 Mobile/15E148 Safari/604.1'
const desktopAgent =
  'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36'
