/** `/element.js`: defines `<human-cast>` for any page. */
import '@humancast/element/define';
