import{d as e,p as t}from"/app/assets/chunk-SLXMFDQ4.js";function n({text:k}){return t(e,{children:k.split("`").map((o,d)=>d%2===1?t("code",{children:o},d):o)})}export{n as a};
