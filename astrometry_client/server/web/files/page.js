// Each page has some of these parts.

import { find } from "./common.js";
import { setUpImage } from "./image.js";
import { setUpListing } from "./listing.js";
import { setUpLogin } from "./login.js";
import { setUpUploads } from "./uploads.js";

const listing = find(".listing");
const again = listing && setUpListing(listing);
if (find("#login")) {
  setUpLogin(again);
  setUpUploads(again);
}
if (find("article")) setUpImage();
