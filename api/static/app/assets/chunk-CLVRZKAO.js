import{e,r as t}from"/app/assets/chunk-7AIMAS4E.js";function n({text:k}){return t(e,{children:k.split("`").map((o,d)=>d%2===1?t("code",{children:o},d):o)})}export{n as a};
