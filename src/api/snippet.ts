/** The code to paste into the pages of a website. */
import { snippetFor, type PathNames, type PublicAddress } from '../browser/index.ts'
import { AppError } from '../base/errors.ts'
import type { Store } from '../store/index.ts'
import { answerJson, ownPrefix, queryOf, type Route } from './route.ts'

export interface SnippetParts {
  store: Store
  /** Where this installation is reached, when nobody says. */
  baseUrl(): string
}

export interface SnippetAsked {
  source: string
  /** `neutral`: paths without a word by which content blockers know them. Default `usual`. */
  paths?: string | undefined
  /** Where pages reach this installation, such as a path of the site's own host. */
  address?: string | undefined
}

export interface SnippetAnswer {
  snippet: string
}

export type SnippetApi = (asked: SnippetAsked) => Promise<SnippetAnswer>

/** Throws `source_not_found`, and `bad_request` for a source that is no website, without a key, or an address that is none. */
export function createSnippetApi({ store, baseUrl }: SnippetParts): SnippetApi {
  return async ({ source, paths = 'usual', address = baseUrl() }) => {
    const { type, writeKeys } = await store.readSource(source)
    if (type !== 'javascript')
      throw new AppError('bad_request', 400, `Only websites have a snippet; "${source}" is of type ${type}.`)
    const [writeKey] = writeKeys
    if (writeKey === undefined) throw new AppError('bad_request', 400, `The source "${source}" has no write key.`)
    if (!isPathNames(paths)) throw new AppError('bad_request', 400, 'Paths are "usual" or "neutral".')
    return { snippet: snippetFor(writeKey, readAddress(address), paths) }
  }
}

export function createSnippetRoutes(snippet: SnippetApi): Route[] {
  return [
    {
      method: 'GET',
      path: new RegExp(`^${ownPrefix}/sources/([^/]+)/snippet$`),
      access: 'member',
      async run(request, response, [, source = '']) {
        const query = queryOf(request)
        const asked = { source, paths: query.get('paths') ?? undefined, address: query.get('address') ?? undefined }
        answerJson(response, 200, await snippet(asked))
      },
    },
  ]
}

function isPathNames(text: string): text is PathNames {
  return text === 'usual' || text === 'neutral'
}

function readAddress(text: string): PublicAddress {
  const url = URL.parse(text)
  if (url === null || !/^https?:$/.test(url.protocol))
    throw new AppError('bad_request', 400, `"${text}" is no http or https address.`)
  return { protocol: url.protocol === 'https:' ? 'https' : 'http', host: url.host + url.pathname.replace(/\/+$/, '') }
}
