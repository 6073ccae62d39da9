import assert from 'node:assert/strict'
import { test } from 'node:test'
import { redirectTarget } from './redirect.ts'

const follow = (from: string, location: string | undefined, status = 307) =>
  redirectTarget(new URL(from), status, location)?.href

test('a location is read from where the request went', () => {
  assert.equal(follow('https://a.example/x/y?z', 'w'), 'https://a.example/x/w')
  assert.equal(follow('https://a.example/x/y?z', '?q=1'), 'https://a.example/x/y?q=1')
  assert.equal(follow('https://a.example/x', '//a.example/v', 308), 'https://a.example/v')
  assert.equal(follow('https://a.example/x', 'https://A.EXAMPLE:443/v'), 'https://a.example/v')
})

test('the way from http to https on their usual ports is followed, the way back is not', () => {
  assert.equal(follow('http://a.example/x', 'https://a.example/x'), 'https://a.example/x')
  for (const [from, to] of [
    ['https://a.example/', 'http://a.example/'],
    ['http://a.example:8080/', 'https://a.example/'],
    ['http://a.example/', 'https://a.example:8443/'],
  ] as const) {
    assert.equal(follow(from, to), undefined, to)
  }
})

test('another host, port, scheme or status is not followed', () => {
  const elsewhere = [
    'https://b.example/',
    '//b.example/',
    'https://a.example:8443/',
    'https://a.example.evil.example/',
    'ftp://a.example/',
  ]
  for (const to of [...elsewhere, 'https://a.example@b.example/', 'https://', undefined]) {
    assert.equal(follow('https://a.example/', to), undefined, String(to))
  }
  for (const status of [200, 201, 300, 301, 302, 303, 304, 305, 306, 309, 400]) {
    assert.equal(follow('https://a.example/', '/x', status), undefined, String(status))
  }
})
