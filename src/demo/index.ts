export { createShop } from './shop.ts'
export type { Shop, ShopCounts, ShopMessage } from './shop.ts'
export { runDemo } from './send.ts'
export type { DemoOptions, DemoProgress } from './send.ts'
