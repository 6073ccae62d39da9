/** Liquid for `@liquid`: the tags and filters of the contract (destinations.md §9.1) and no others, so no loops and no
 *  files, with bounds on length, time and memory. */
import { Context, Liquid, type Drop } from 'liquidjs'
import { isRawNumber } from '../protocol/index.ts'
import { isObject, setKey } from './own-properties.ts'

export const LIQUID_CHARACTERS_MAX = 1000
const RENDER_MS_MAX = 500
const MEMORY_BYTES_MAX = 100_000_000

const tags = words(`# assign capture case comment decrement echo if increment liquid raw unless`)

const filters = words(`
  abs append at_least at_most capitalize ceil cgi_escape compact date date_to_long_string date_to_rfc822 date_to_string
  date_to_xmlschema default divided_by downcase escape escape_once first floor inspect join json jsonify last lstrip minus
  modulo normalize_whitespace number_of_words plus pop prepend push raw remove remove_first remove_last replace
  replace_first replace_last round rstrip shift size slice slugify split strip strip_html strip_newlines sum times
  to_integer truncate truncatewords unshift upcase uri_escape url_decode url_encode where xml_escape`)

const engine = createEngine()

/** Throws an Error with a sentence when the template is too long, does not parse or uses what is not allowed; so does the
 *  function when rendering fails or meets its bounds. */
export function compileLiquid(text: string): (payload: unknown) => string {
  if (text.length > LIQUID_CHARACTERS_MAX) {
    throw new Error(`The Liquid template is longer than ${LIQUID_CHARACTERS_MAX} characters`)
  }
  const templates = engine.parse(text)
  return (payload) => {
    const scope = isObject(payload) ? payload : {}
    return String(engine.renderSync(templates, new MessageContext(withPlainNumbers(scope) as object)))
  }
}

/** Looks names up in the message. Segment's product page writes `event.properties.email` where its framework has
 *  `properties.email`, and there `event` is the name; so `event` followed by a path means the message. */
class MessageContext extends Context {
  constructor(message: object) {
    super(message, engine.options, { sync: true }, { liquid: engine })
  }

  override _get(paths: (string | number | Drop)[]): IterableIterator<unknown> {
    const isMessage = paths[0] === 'event' && paths.length > 1 && !Object.hasOwn(this.bottom(), 'event')
    return isMessage ? this._getFromScope(this.environments, paths.slice(1)) : super._get(paths)
  }
}

/** Numbers that no double can hold become their digits, which Liquid can print. */
function withPlainNumbers(value: unknown): unknown {
  if (isRawNumber(value)) return value.rawJSON
  if (Array.isArray(value)) return value.map(withPlainNumbers)
  if (!isObject(value)) return value
  const result: Record<string, unknown> = {}
  for (const [key, inner] of Object.entries(value)) setKey(result, key, withPlainNumbers(inner))
  return result
}

function createEngine(): Liquid {
  const liquid = new Liquid({
    // Keys of a message never reach a prototype.
    ownPropertyOnly: true,
    strictFilters: true,
    parseLimit: LIQUID_CHARACTERS_MAX,
    renderLimit: RENDER_MS_MAX,
    memoryLimit: MEMORY_BYTES_MAX,
  })
  for (const name of Object.keys(liquid.tags)) if (!tags.has(name)) delete liquid.tags[name]
  for (const name of Object.keys(liquid.filters)) if (!filters.has(name)) delete liquid.filters[name]
  return liquid
}

function words(text: string): Set<string> {
  return new Set(text.trim().split(/\s+/))
}
