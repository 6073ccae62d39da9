import { cdnOf, NEUTRAL_SCRIPT, type PathNames, type PublicAddress } from './public-address.ts'
import { literal } from './script-text.ts'

// What the library replaces when it has loaded; until then each call waits in the queue (contract: sources.md §2.1).
const methods =
  'trackSubmit trackClick trackLink trackForm pageview identify reset group track ready alias debug page screen once off on addSourceMiddleware addIntegrationMiddleware setAnonymousId addDestinationMiddleware register'

/**
 * The code to paste into the head of a page: a queue under `window.analytics` that takes calls at once, and the tag that
 * loads the library from `address`. Calls of the six kinds keep the page they were made on, as the last argument.
 *
 * `_cdn` says where settings and chunks are: left alone, the library finds that out from the script tag only over https.
 */
export function snippetFor(writeKey: string, address: PublicAddress, names: PathNames = 'usual'): string {
  const key = literal(writeKey)
  const script =
    names === 'usual' ? '"/analytics.js/v1/"+encodeURIComponent(k)+"/analytics.min.js"' : literal(`/${NEUTRAL_SCRIPT}`)
  return `<script>
!function(){var i="analytics",analytics=window[i]=window[i]||[];if(analytics.initialize)return;
if(analytics.invoked)return void(window.console&&console.error&&console.error("The analytics snippet is in the page twice."));
analytics.invoked=!0;analytics.methods="${methods}".split(" ");
analytics.factory=function(m){return function(){var a=window[i];if(a.initialized)return a[m].apply(a,arguments);
var c=[].slice.call(arguments),l=document.querySelector("link[rel='canonical']");
if(/^(track|screen|alias|group|page|identify)$/.test(m))c.push({__t:"bpc",c:l&&l.getAttribute("href")||void 0,p:location.pathname,u:location.href,s:location.search,t:document.title,r:document.referrer});
c.unshift(m);analytics.push(c);return analytics}};
analytics.methods.forEach(function(m){analytics[m]=analytics.factory(m)});
analytics.load=function(k,o){var s=document.createElement("script"),f=document.getElementsByTagName("script")[0];
s.async=!0;s.setAttribute("data-global-segment-analytics-key",i);s.src=analytics._cdn+${script};
f.parentNode.insertBefore(s,f);analytics._loadOptions=o};
analytics._writeKey=${key};analytics._cdn=${literal(cdnOf(address, writeKey, names))};analytics.SNIPPET_VERSION="5.2.1";
analytics.load(${key});
analytics.page();
}();
</script>`
}
