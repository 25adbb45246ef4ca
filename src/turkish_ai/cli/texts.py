"""Everything that the command line says, in Turkish and English.

Used by the modules of `cli`; said by `language.Speaker`. A table of words: knows nothing of when they are said. The
errors that other rooms raise are in English, and are shown as they are under a headline of ours.
"""

from turkish_ai.cli.language import Text

# --- the command itself ---------------------------------------------------------------------------------------------

APP_HELP = Text(
    tr="Kendi sunucunuzda çalışan, sorunun sektörüne göre yanıt veren Türkçe asistan.",
    en="A self-hosted Turkish assistant that answers with the adapter of the question's business sector.",
)
APP_EXAMPLES = Text(
    tr="""[bold]Örnekler[/bold]

turkish-ai serve   [dim]sunucuyu başlatır; ilk açılışta modeli hazırlar[/dim]
turkish-ai chat "Kredi kartımı kaybettim, ne yapmalıyım?"   [dim]soruyu yanıtlar[/dim]
turkish-ai classify "Kargom nerede kaldı?"   [dim]sektörünü bulur[/dim]
turkish-ai doctor   [dim]bu bilgisayarda eksik olanı ve çözümünü söyler[/dim]

Bir komutun ayrıntısı: turkish-ai KOMUT --help""",
    en="""[bold]Examples[/bold]

turkish-ai serve   [dim]start the server; the first start prepares the model[/dim]
turkish-ai chat "Kredi kartımı kaybettim, ne yapmalıyım?"   [dim]answer a question[/dim]
turkish-ai classify "Kargom nerede kaldı?"   [dim]find its sector[/dim]
turkish-ai doctor   [dim]say what is missing on this machine, and the remedy[/dim]

More on one command: turkish-ai COMMAND --help""",
)
LANG_HELP = Text(
    tr="Türkçe (tr) ya da İngilizce (en). Verilmezse TURKISH_AI_LANG, o da yoksa sistemin dili.",
    en="Turkish (tr) or English (en). Left out: TURKISH_AI_LANG, else the system's language.",
)
DEBUG_HELP = Text(tr="Hatada Python izini de göster.", en="Show the Python traceback of an error.")
VERSION_HELP = Text(tr="Sürümü yaz ve çık.", en="Print the version and exit.")
QUESTION_NAME = Text(tr="SORU", en="QUESTION")
TEXT_NAME = Text(tr="METİN", en="TEXT")
SECTOR_NAME = Text(tr="SEKTÖR", en="SECTOR")
FILE_NAME = Text(tr="DOSYA", en="FILE")
JSON_HELP = Text(tr="Makineler için: JSON yaz.", en="For machines: write JSON.")

HEADING_USE = Text(tr="Günlük kullanım", en="Everyday use")
HEADING_MODELS = Text(tr="Modeller", en="Models")
HEADING_CARE = Text(tr="Kurulum ve bakım", en="Set-up and care")

# --- what goes wrong ------------------------------------------------------------------------------------------------

ERROR = Text(tr="Hata: {error}", en="Error: {error}")
ERROR_OF_KIND = Text(tr="Hata ({kind}): {error}", en="Error ({kind}): {error}")
ERROR_KINDS = {
    "settings_error": Text(tr="ayar", en="settings"),
    "base_model_unavailable": Text(tr="temel model", en="base model"),
    "data_error": Text(tr="veri", en="data"),
    "adapter_not_found": Text(tr="adaptör yok", en="no adapter"),
    "adapter_refused": Text(tr="adaptör reddedildi", en="adapter refused"),
    "unsupported_model": Text(tr="model desteklenmiyor", en="model not supported"),
    "engine_unavailable": Text(tr="sunucuya ulaşılamıyor", en="no server"),
    "generation_failed": Text(tr="yanıt yarıda kaldı", en="answer incomplete"),
}
"""Headlines for errors, by their code."""
UNEXPECTED = Text(
    tr="Beklenmeyen hata: {kind}: {error}. Ayrıntısı için komutu --debug ile yineleyin.",
    en="Unexpected error: {kind}: {error}. Repeat the command with --debug for the details.",
)
MISSING_PACKAGE = Text(
    tr="Hata: {package} paketi kurulu değil. `make setup` ile kurun.",
    en="Error: the package {package} is not installed. Run `make setup`.",
)
INTERRUPTED = Text(tr="Durduruldu.", en="Stopped.")
USAGE = Text(tr="Kullanım hatası: {error} Yardım: {command} --help", en="Usage error: {error} Help: {command} --help")

# --- serve ----------------------------------------------------------------------------------------------------------

SERVE_HELP = Text(
    tr="Sunucuyu başlatır. İlk açılışta temel modeli indirip hazırlar.",
    en="Start the server. The first start downloads and prepares the base model.",
)
SERVE_MORE = Text(
    tr="""Tarayıcı için sayfa: http://127.0.0.1:8000 — OpenAI uyumlu API: http://127.0.0.1:8000/v1

Ctrl-C ya da SIGTERM ile kapanır: süren yanıtlar tamamlanır, yenisi alınmaz.

Kullanıcı hesabı yoktur. Başka makinelere --host ile açmadan önce önüne erişimi denetleyen bir ters vekil (reverse
proxy) koyun.

[bold]Örnekler[/bold]

turkish-ai serve
turkish-ai serve --port 9000""",
    en="""The page for browsers: http://127.0.0.1:8000 — the OpenAI-compatible API: http://127.0.0.1:8000/v1

Ctrl-C or SIGTERM stops it: running answers end first, new ones are refused.

There are no accounts. Before you open it to other machines with --host, put a proxy with access control before it.

[bold]Examples[/bold]

turkish-ai serve
turkish-ai serve --port 9000""",
)
HOST_HELP = Text(
    tr="Dinlenecek adres; verilmezse TURKISH_AI_HOST ya da yapılandırma dosyası.",
    en="Address to listen on; left out: TURKISH_AI_HOST, else the configuration file.",
)
PORT_HELP = Text(tr="Dinlenecek port; 0, boş olan birini seçer.", en="Port to listen on; 0 takes one that is free.")
DATA_DIR_HELP = Text(
    tr="Sunucunun yönetici anahtarı (admin_key) ile yarım kalan eğitimlerin durduğu klasör.",
    en="Folder of the server's admin key (admin_key) and of unfinished trainings.",
)
ALREADY_RUNS = Text(
    tr="Sunucu zaten çalışıyor: {url} (sürüm {version}).", en="The server already runs: {url} (version {version})."
)
ALREADY_RUNS_REMEDY = Text(
    tr="İkincisi için başka bir port verin: `turkish-ai serve --port 9000` ya da `make serve PORT=9000`.",
    en="For a second one give another port: `turkish-ai serve --port 9000` or `make serve PORT=9000`.",
)
FIRST_START = Text(
    tr="İlk açılış: temel model bir kez indirilip dönüştürülecek ({source}). Bu birkaç dakika sürer.",
    en="First start: the base model is downloaded and converted once ({source}). This takes a few minutes.",
)

# --- chat -----------------------------------------------------------------------------------------------------------

CHAT_HELP = Text(
    tr="Asistanla yazışır ya da tek bir soruyu yanıtlar.", en="Talk with the assistant, or have one question answered."
)
CHAT_MORE = Text(
    tr="""Çalışan sunucuya bağlanır; sunucu yoksa yalnızca bu oturum için bir tane başlatır.

Yazışırken: /yeni, /sektör, /yardım, /çık. Ctrl-C yanıtı keser, bir daha basılırsa çıkar.

[bold]Örnekler[/bold]

turkish-ai chat
turkish-ai chat "Kredi kartımı kaybettim, ne yapmalıyım?"
turkish-ai chat --model healthcare "Aldığım hastane randevusunu nasıl iptal edebilirim?"
echo "Siparişim hâlâ gelmedi, ne yapmalıyım?" | turkish-ai chat --json""",
    en="""Connects to a running server; where there is none, it starts one for this session alone.

While talking: /new, /sector, /help, /exit. Ctrl-C stops the answer, once more leaves.

[bold]Examples[/bold]

turkish-ai chat
turkish-ai chat "Kredi kartımı kaybettim, ne yapmalıyım?"
turkish-ai chat --model healthcare "Aldığım hastane randevusunu nasıl iptal edebilirim?"
echo "Siparişim hâlâ gelmedi, ne yapmalıyım?" | turkish-ai chat --json""",
)
QUESTION_HELP = Text(
    tr="Soru. Verilmezse standart girdiden okunur; girdi bir terminalse yazışma başlar.",
    en="The question. Left out, it is read from standard input; on a terminal a conversation starts.",
)
URL_HELP = Text(
    tr="Sunucunun adresi; verilmezse ayarlardaki (http://127.0.0.1:8000). Verilirse yerine sunucu başlatılmaz.",
    en="Where the server is; left out, as configured (http://127.0.0.1:8000). If given, none is started in its place.",
)
MODEL_HELP = Text(
    tr="auto (sektörü bulur), base, bir sektörün kimliği ya da sektör@sürüm.",
    en="auto (finds the sector), base, a sector's id, or sector@version.",
)
MAX_TOKENS_HELP = Text(tr="Yanıtın en fazla kaç token olacağı.", en="Tokens of an answer at most.")
CHAT_WELCOME = Text(
    tr="{url} · /yardım komutları gösterir, Ctrl-D çıkar.", en="{url} · /help shows the commands, Ctrl-D leaves."
)
CHAT_PROMPT = Text(tr="siz> ", en="you> ")
CHAT_ORIGIN = Text(tr="{sector} · güven {confidence} · {adapter}", en="{sector} · confidence {confidence} · {adapter}")
CHAT_ORIGIN_ASKED = Text(tr="{sector} · {adapter}", en="{sector} · {adapter}")
CHAT_ADAPTER = Text(tr="adaptör {name}@{version}", en="adapter {name}@{version}")
CHAT_ORIGIN_FALLBACK = Text(
    tr="{sector} · güven {confidence} · adaptörü yok, {who} yanıtlıyor",
    en="{sector} · confidence {confidence} · it has no adapter, {who} answers",
)
CHAT_GENERAL = Text(tr="genel asistan", en="the general adapter")
CHAT_BASE = Text(tr="temel model", en="the base model")
CHAT_NO_ADAPTER = Text(tr="temel model", en="base model")
CHAT_STOPPED = Text(tr="[yanıt kesildi; çıkmak için bir daha Ctrl-C]", en="[answer stopped; Ctrl-C once more to leave]")
CHAT_CUT_SHORT = Text(
    tr="[yanıt sınırına ulaştı; --max-tokens ile artırılabilir]",
    en="[the answer reached its limit; --max-tokens raises it]",
)
CHAT_CUT_SHORT_HERE = Text(
    tr="[yanıt sınırına ulaştı; sınır, yazışma `turkish-ai chat --max-tokens SAYI` ile başlatılınca artar]",
    en="[the answer reached its limit; starting with `turkish-ai chat --max-tokens NUMBER` raises it]",
)
CHAT_FORGETS = Text(
    tr="Yazışma modelin bağlamına sığmıyor; en eski soru ve yanıtlar unutuluyor. /yeni hepsini unutur.",
    en="The conversation does not fit the model's context; its oldest turns are forgotten. /new forgets them all.",
)
CHAT_NEW = Text(tr="Yeni yazışma: öncekiler unutuldu.", en="A new conversation: what was said before is forgotten.")
CHAT_COMMANDS = Text(
    tr="""/yeni            yeni bir yazışma başlatır
/sektör          sektörleri listeler
/sektör KİMLİK   yalnızca o sektörün adaptörüyle yanıtlatır (kimlik ya da ad)
/sektör auto     sektörü yine her soru için bulur
/çık             çıkar (Ctrl-D de çıkar)""",
    en="""/new             start a new conversation
/sector          list the sectors
/sector ID       answer with that sector's adapter alone (id or name)
/sector auto     find the sector of each question again
/exit            leave (so does Ctrl-D)""",
)
CHAT_UNKNOWN_COMMAND = Text(
    tr="{command} diye bir komut yok; /yardım hepsini gösterir.",
    en="There is no command {command}; /help shows them all.",
)
CHAT_UNKNOWN_SECTOR = Text(
    tr="{sector!r} diye bir sektör yok; /sektör hepsini gösterir.",
    en="There is no sector {sector!r}; /sector shows them all.",
)
CHAT_MODEL_NOW = Text(tr="Bundan sonra: {model}", en="From now on: {model}")
CHAT_MODEL_AUTO = Text(tr="auto (sektör her soru için bulunur)", en="auto (the sector of each question is found)")
CHAT_WAITING = Text(
    tr="{url} adresindeki sunucu henüz hazır değil ({detail}); bekleniyor…",
    en="The server at {url} is not ready yet ({detail}); waiting …",
)
CHAT_PHASES: dict[str, Text] = {
    "base model": Text(tr="temel model hazırlanıyor", en="preparing the base model"),
    "loading the base model": Text(tr="temel model yükleniyor", en="loading the base model"),
    "loading adapters": Text(tr="adaptörler yükleniyor", en="loading adapters"),
}
"""What a server that is loading says of itself at /ready, up to a colon."""
CHAT_PHASE_OTHER = Text(tr="açılıyor", en="starting")
CHAT_STARTING = Text(
    tr="{url} adresinde çalışan sunucu yok; bu oturum için {local} adresinde bir tane başlatılıyor…",
    en="No server answers at {url}; starting one at {local} for this session …",
)
CHAT_STARTED = Text(tr="Hazır ({seconds} sn).", en="Ready ({seconds} s).")
REFUSALS_TR: dict[str, str] = {
    "adapter_not_found": "{model!r} sektörünün bu sunucuda adaptörü yok. Sektörü soruya göre bulması için auto, temel "
    "modelin kendisi için base ile sorun.",
    "adapter_refused": "{model!r} adaptörü kullanılamıyor; nedenini `turkish-ai adapters verify` söyler.",
    "adapter_memory_full": "Adaptör belleği dolu. Biraz sonra yeniden sorun.",
    "context_length_exceeded": "Soru ve istenen yanıt modelin bağlamına sığmıyor. Soruyu kısaltın ya da daha küçük bir "
    "--max-tokens verin.",
    "model_not_found": "{model!r} diye bir model yok. Olabilecekler: auto, base, bir sektörün kimliği ya da "
    "sektör@sürüm.",
    "queue_full": "Sunucunun kuyruğu dolu. Biraz sonra yeniden sorun.",
    "draining": "Sunucu kapanıyor, yeni soru almıyor.",
    "engine_unavailable": "Sunucunun modeli yüklü değil. Biraz sonra yeniden sorun.",
    "generation_failed": "Yanıt üretilirken bir hata oldu. Yeniden sorun.",
}
"""What a server's refusal means, by its code; in English the server's own words are shown."""
CHAT_NOTHING_ASKED = Text(tr="Soru boş.", en="The question is empty.")

# --- classify -------------------------------------------------------------------------------------------------------

CLASSIFY_HELP = Text(
    tr="Metnin hangi sektöre ait olduğunu bulur; sunucu gerekmez.",
    en="Find the sector of a text; needs no server.",
)
CLASSIFY_MORE = Text(
    tr="""Metin verilmezse standart girdinin her satırı bir metindir.

[bold]Örnekler[/bold]

turkish-ai classify "İade kargosunu kim öder?" --evidence
cat sorular.txt | turkish-ai classify --json""",
    en="""Without a text, each line of standard input is one.

[bold]Examples[/bold]

turkish-ai classify "İade kargosunu kim öder?" --evidence
cat questions.txt | turkish-ai classify --json""",
)
CLASSIFY_TEXT_HELP = Text(tr="Sınıflandırılacak metinler.", en="The texts to classify.")
EVIDENCE_HELP = Text(tr="Kararı belirleyen sözcükleri de göster.", en="Also show the words that decided.")
CLASSIFY_EVIDENCE = Text(tr="belirleyen: {words}", en="decided by: {words}")
CLASSIFY_ALSO = Text(tr="diğerleri: {others}", en="others: {others}")
CLASSIFY_NOTHING = Text(tr="Sınıflandırılacak metin verilmedi.", en="There is no text to classify.")

# --- train ----------------------------------------------------------------------------------------------------------

TRAIN_HELP = Text(
    tr="Sektörlerin LoRA adaptörlerini kendi verisiyle eğitir.",
    en="Train the LoRA adapters of sectors on their own data.",
)
TRAIN_MORE = Text(
    tr="""Veri: data/sectors/SEKTÖR.jsonl. Sonuç: adapters/SEKTÖR/. Kesilen bir eğitim eski adaptörü bozmaz.

[bold]Örnekler[/bold]

turkish-ai train ecommerce
turkish-ai train ecommerce healthcare --early-stopping
turkish-ai train --all""",
    en="""Data: data/sectors/SECTOR.jsonl. Result: adapters/SECTOR/. An interrupted training leaves the old adapter.

[bold]Examples[/bold]

turkish-ai train ecommerce
turkish-ai train ecommerce healthcare --early-stopping
turkish-ai train --all""",
)
TRAIN_SECTORS_HELP = Text(tr="Sektör kimlikleri.", en="Ids of sectors.")
TRAIN_ALL_HELP = Text(tr="Verisi olan bütün sektörler.", en="Every sector that has data.")
TRAIN_FORCE_HELP = Text(tr="Güncel olan adaptörü de yeniden eğit.", en="Train again what is up to date already.")
TRAIN_EPOCHS_HELP = Text(
    tr="Verinin üzerinden kaç kez geçileceği; verilmezse yapılandırmadaki.",
    en="Passes over the data; left out: the configuration's.",
)
TRAIN_EARLY_HELP = Text(
    tr="Ayrılmış verideki kayıp artık düşmüyorsa dur.", en="Stop once the loss on held-out data no longer falls."
)
TRAIN_OUT_HELP = Text(
    tr="Sonucun yazılacağı klasör; verilmezse adapters/.", en="Folder for the results; left out: adapters/."
)
TRAIN_TRAINED = Text(
    tr="{sector}: eğitildi ({epoch}/{epochs}. tur, {seconds} sn): {path}",
    en="{sector}: trained (epoch {epoch} of {epochs}, {seconds} s): {path}",
)
TRAIN_UP_TO_DATE = Text(
    tr="{sector}: güncel ({epoch}/{epochs}. tur, {seconds} sn): {path}",
    en="{sector}: up to date (epoch {epoch} of {epochs}, {seconds} s): {path}",
)
TRAIN_LOSS = Text(
    tr="kayıp: öğretilen sorularda {train}; öğretilmeyen konulardaki sorularda {after} (temel model: {before})",
    en="loss: {train} on taught questions; {after} on questions of topics that were not taught (base model: {before})",
)
TRAIN_LOSS_ROSE = Text(
    tr="kayıp: öğretilen sorularda {train}; öğretilmeyen konulardaki sorularda {after}, temel modelinkinden ({before}) "
    "yüksek: bu konuları adaptör daha kötü yanıtlar",
    en="loss: {train} on taught questions; {after} on questions of topics that were not taught, above the base model's "
    "({before}): these the adapter answers worse",
)
TRAIN_STOPPED = Text(
    tr="{sector} eğitimi {steps} adımın {step}. adımında durduruldu; aynı komut kaldığı yerden sürdürür.",
    en="Training of {sector} stopped after step {step} of {steps}; the same command goes on from there.",
)
TRAIN_STOPPED_FORCED = Text(
    tr="{sector} eğitimi {steps} adımın {step}. adımında durduruldu; `turkish-ai train {left}` kaldığı yerden "
    "sürdürür.",
    en="Training of {sector} stopped after step {step} of {steps}; `turkish-ai train {left}` goes on from there.",
)
TRAIN_WHICH = Text(
    tr="Sektör kimliklerini ya da --all seçeneğini verin; ikisini birden vermeyin.",
    en="Name sectors, or give --all; not both.",
)
TRAIN_UNKNOWN = Text(
    tr="{sector!r} bir sektör kimliği değil. Kimlikler: {known}", en="{sector!r} is no sector's id. Ids: {known}"
)
TRAIN_NO_DATA = Text(tr="{folder} klasöründe hiçbir sektörün verisi yok.", en="There is no sector's data in {folder}.")

# --- adapters -------------------------------------------------------------------------------------------------------

ADAPTERS_HELP = Text(tr="Sektör adaptörlerini listeler ve denetler.", en="List and check the sectors' adapters.")
ADAPTERS_LIST_HELP = Text(
    tr="Hangi sektörün hangi adaptörü olduğunu listeler.", en="List which sector has which adapter."
)
ADAPTERS_VERIFY_HELP = Text(
    tr="Her adaptörü baştan sona okuyup temel modele uyup uymadığını denetler.",
    en="Read every adapter whole and check that it fits the base model.",
)
ADAPTERS_SECTORS_HELP = Text(tr="Yalnızca bu sektörler; verilmezse hepsi.", en="These sectors alone; left out: all.")
COLUMN_SECTOR = Text(tr="Sektör", en="Sector")
COLUMN_ID = Text(tr="Kimlik", en="Id")
COLUMN_VERSION = Text(tr="Sürüm", en="Version")
COLUMN_STATE = Text(tr="Durum", en="State")
COLUMN_RANK = Text(tr="Rank", en="Rank")
COLUMN_MEMORY = Text(tr="Bellek", en="Memory")
ADAPTER_THERE = Text(tr="var", en="there")
ADAPTER_NONE = Text(tr="yok", en="none")
ADAPTER_ABSENT = Text(
    tr="{sector} için ayarlanan adaptör yerinde yok", en="the adapter configured for {sector} is not there"
)
ADAPTER_GOOD = Text(tr="sağlam", en="sound")
ADAPTERS_SUMMARY = Text(
    tr="{good} adaptör sağlam, {refused} adaptör sorunlu.", en="{good} adapters are sound, {refused} are not."
)
ADAPTERS_SUMMARY_NONE = Text(
    tr="{good} adaptör sağlam, {refused} adaptör sorunlu, {none} sektörün adaptörü yok.",
    en="{good} adapters are sound, {refused} are not; {none} sectors have none.",
)
ADAPTERS_NO_BASE = Text(
    tr="Adaptörler temel modele göre denetlenir; temel model henüz hazır değil.",
    en="Adapters are checked against the base model, which is not prepared.",
)
RUN_SETUP = Text(tr="Önce `turkish-ai setup` çalıştırın.", en="Run `turkish-ai setup` first.")
MIB = Text(tr="{mib} MiB", en="{mib} MiB")

# --- evaluate -------------------------------------------------------------------------------------------------------

EVALUATE_HELP = Text(
    tr="Adaptörlere, görmedikleri sözcüklerle öğrendiklerini sorar ve yanıtları sayar.",
    en="Ask the adapters for what they were taught, in words they have not seen, and count the answers.",
)
EVALUATE_MORE = Text(
    tr="""Sorular data/recall klasöründedir ve eğitimde kullanılmaz. İki çekirdekte sektör başına bir iki dakika sürer.

[bold]Örnekler[/bold]

turkish-ai evaluate   [dim]adaptörü ve sorusu olan her sektör[/dim]
turkish-ai evaluate healthcare --out rapor.json   [dim]her soru, yanıtı ve kararıyla[/dim]""",
    en="""The questions are in data/recall and are never trained on. It takes a minute or two a sector on two cores.

[bold]Examples[/bold]

turkish-ai evaluate   [dim]every sector that has an adapter and questions[/dim]
turkish-ai evaluate healthcare --out report.json   [dim]every question with its answer and verdict[/dim]""",
)
EVALUATE_SECTORS_HELP = Text(
    tr="Sektörler; verilmezse adaptörü ve sorusu olanların hepsi.",
    en="The sectors; left out: all that have an adapter and questions.",
)
EVALUATE_OUT_HELP = Text(tr="Bütün yanıtları da içeren JSON raporu.", en="A JSON report with every answer in it.")
EVALUATE_LOOKUP_HELP = Text(
    tr="Yalnızca soru bankalarını ölç: adaptörlere ne söyleneceği. Birkaç saniye sürer.",
    en="Measure the question banks alone: what the adapters would be told. Takes seconds.",
)
EVALUATE_ASKING = Text(tr="{questions} soru soruluyor …", en="Asking {questions} questions …")
EVALUATE_NOTHING = Text(
    tr="Adaptörü ve {folder} içinde sorusu olan sektör yok.", en="No sector has an adapter and questions in {folder}."
)
EVALUATE_HEAD: tuple[Text, ...] = (
    Text(tr="sektör", en="sector"),
    Text(tr="öğretilen: kendi yanıtı", en="taught: own answer"),
    Text(tr="başkasının", en="another's"),
    Text(tr="bilmiyorum", en="declined"),
    Text(tr="uydurma", en="invented"),
    Text(tr="öğretilmeyen: bilmiyorum", en="untaught: declined"),
    Text(tr="başkasının", en="another's"),
    Text(tr="uydurma", en="invented"),
)

# --- report ---------------------------------------------------------------------------------------------------------

REPORT_HELP = Text(
    tr="Veriyi, yönlendiriciyi, yanıtları ve kayıpları ölçer; docs/evaluation.md dosyasını resimleriyle yazar.",
    en="Measure data, router, answers and losses, and write docs/evaluation.md with its pictures.",
)
REPORT_MORE = Text(
    tr="""Her ölçümün JSON dosyası resimlerin yanında durur. Hepsi iki çekirdekte bir saate yakın sürer.

[bold]Örnekler[/bold]

turkish-ai report   [dim]hepsini ölçer[/dim]
turkish-ai report router data   [dim]yalnızca bunları ölçer, ötekileri dosyalarından alır[/dim]
turkish-ai report --draw   [dim]ölçmeden, dosyalardan yeniden yazar[/dim]""",
    en="""Each measurement's JSON file lies beside the pictures. All take most of an hour on two cores.

[bold]Examples[/bold]

turkish-ai report   [dim]measure everything[/dim]
turkish-ai report router data   [dim]measure these, take the others from their files[/dim]
turkish-ai report --draw   [dim]write it again from the files, measuring nothing[/dim]""",
)
REPORT_PART = Text(tr="[BÖLÜM]...", en="[PART]...")
REPORT_PARTS_HELP = Text(
    tr="data, router, answers, losses; verilmezse hepsi.", en="data, router, answers, losses; left out: all of them."
)
REPORT_DRAW_HELP = Text(tr="Hiçbir şey ölçmeden yeniden yaz.", en="Measure nothing; write it again.")
REPORT_OUT_HELP = Text(tr="Yazılacağı klasör.", en="The folder to write into.")
REPORT_PARTS_OR_DRAW = Text(
    tr="--draw hiçbir şey ölçmez; bölüm adıyla birlikte kullanılamaz.",
    en="--draw measures nothing, so it goes without parts.",
)
REPORT_UNKNOWN = Text(
    tr="{part!r} diye bir bölüm yok. Olanlar: {known}.", en="There is no part {part!r}. Known: {known}."
)
REPORT_MEASURING = Text(tr="Ölçülüyor: {part}", en="Measuring: {part}")
REPORT_NOTHING = Text(tr="{folder} içinde ölçüm yok.", en="{folder} holds no measurement.")
REPORT_WRITTEN = Text(tr="Yazıldı: {path}", en="Written: {path}")

# --- router ---------------------------------------------------------------------------------------------------------

ROUTER_HELP = Text(tr="Sektör yönlendiricisini kurar ve ölçer.", en="Build and measure the sector router.")
ROUTER_BUILD_HELP = Text(
    tr="Yönlendiriciyi yeniden eğitir; verisi değişmediyse hazır olanı gösterir.",
    en="Train the router; where its data has not changed, show the one there is.",
)
ROUTER_EVALUATE_HELP = Text(
    tr="Yönlendiricinin ayrılmış sorulardaki başarısını ölçer.", en="Measure the router on held-out questions."
)
ROUTER_BUILT = Text(tr="Yönlendirici {version}: {path}", en="Router {version}: {path}")

ROUTER_SCORES: tuple[tuple[str, Text], ...] = (
    ("accuracy", Text(tr="doğruluk", en="accuracy")),
    ("macro_f1", Text(tr="makro F1", en="macro F1")),
    ("routed_accuracy", Text(tr="eşikten sonra doğruluk", en="accuracy after the threshold")),
    ("routed_macro_f1", Text(tr="eşikten sonra makro F1", en="macro F1 after the threshold")),
    ("unknown_recall", Text(tr="sektör dışı sorular: yakalanan", en="questions of no sector: found")),
    ("unknown_precision", Text(tr="sektör dışı yanıtlar: doğru olan", en="answers of no sector: right")),
    ("wrong_sector", Text(tr="yanlış sektöre giden", en="sent to a wrong sector")),
    ("calibration_error", Text(tr="kalibrasyon hatası", en="calibration error")),
    ("sure_share", Text(tr="güveni en az 0,7 olan", en="with a confidence of 0.7 or more")),
    ("sure_accuracy", Text(tr="bunlarda doğruluk", en="accuracy of those")),
)
ROUTER_CROSS_VALIDATED = Text(
    tr="Çapraz doğrulama ({questions} soru, {classes} sınıf, {folds} parça)",
    en="Cross-validated ({questions} questions, {classes} classes, {folds} folds)",
)
ROUTER_HELD_OUT = Text(
    tr="Ayrılmış sorular (dev: {questions} soru, {classes} sınıf)",
    en="Held out (dev: {questions} questions, {classes} classes)",
)
ROUTER_TESTED = Text(
    tr="Test soruları ({questions} soru, {classes} sınıf)", en="Test split ({questions} questions, {classes} classes)"
)
ROUTER_BARE = Text(
    tr="Bunların yalın sorguları ({questions} soru, {classes} sınıf)",
    en="Bare queries among them ({questions} questions, {classes} classes)",
)
ROUTER_TEST_HELP = Text(
    tr="Test bölümünü de ölç. Sürüm çıkarken kullanın; ayar seçerken bakılırsa ölçü olmaktan çıkar.",
    en="Measure the test split too. For a release: whoever chooses by it uses it up.",
)
ROUTER_BY_STYLE = Text(
    tr="Yazım biçimine göre doğruluk (ayrılmış sorular, eşikten önce)",
    en="Accuracy by style of typing (held-out questions, before the threshold)",
)
ROUTER_STYLES: dict[str, Text] = {
    "plain": Text(tr="düz", en="plain"),
    "formal": Text(tr="resmî", en="formal"),
    "colloquial": Text(tr="konuşma dili", en="colloquial"),
    "ascii": Text(tr="Türkçe karaktersiz", en="ascii"),
    "misspelt": Text(tr="yazım hatalı", en="misspelt"),
    "implicit": Text(tr="sektörün sözcüğü geçmeyen", en="implicit"),
    "multi": Text(tr="çok cümleli", en="multi"),
}
ROUTER_FOLLOW_UPS = Text(
    tr="Yazışma içinde doğruluk (tek başına → önceki sorularla)",
    en="Accuracy inside conversations (alone → with the earlier questions)",
)
ROUTER_LATER_TURNS = Text(tr="sonraki sorular", en="later turns")
ROUTER_CHANGES = Text(tr="konu değişimleri", en="changes of subject")
ROUTER_LATENCY = Text(
    tr="Bir karar: ortanca {p50} µs, %99'u {p99} µs altında", en="One choice: median {p50} µs, p99 {p99} µs"
)
ROUTER_CONFUSED = Text(tr="En çok karışanlar (doğrusu → bulunan):", en="Most often confused (truth → found):")

# --- config ---------------------------------------------------------------------------------------------------------

CONFIG_HELP = Text(
    tr="Yapılandırma dosyasını denetler, şemasını yazar.", en="Check the configuration file, print its schema."
)
CONFIG_CHECK_HELP = Text(
    tr="Ortam değişkenlerini ve model_config.json dosyasını denetler.",
    en="Check the environment and model_config.json.",
)
CONFIG_SCHEMA_HELP = Text(
    tr="model_config.json dosyasının JSON şemasını yazar.", en="Print the JSON Schema of model_config.json."
)
CONFIG_SCHEMA_CHECK_HELP = Text(
    tr="Yazma; configs/model_config.schema.json güncel mi, onu denetle.",
    en="Print nothing; check that configs/model_config.schema.json is up to date.",
)
CONFIG_FILE_HELP = Text(
    tr="Denetlenecek dosya; verilmezse kullanımdaki.", en="The file to check; left out: the one in use."
)
CONFIG_GOOD = Text(tr="{path}: geçerli.", en="{path}: valid.")
SCHEMA_CURRENT = Text(tr="{path}: güncel.", en="{path}: up to date.")

# --- setup ----------------------------------------------------------------------------------------------------------

SETUP_HELP = Text(
    tr="Temel modeli ve yönlendiriciyi hazırlar; hazırsa hiçbir şey yapmaz.",
    en="Prepare the base model and the router; does nothing where they are ready.",
)
SETUP_BASE = Text(tr="Temel model: {path}", en="Base model: {path}")
SETUP_DONE = Text(tr="Kurulum tamam. Sunucu için: turkish-ai serve", en="Set up. For the server: turkish-ai serve")

# --- doctor ---------------------------------------------------------------------------------------------------------

DOCTOR_HELP = Text(
    tr="Bu bilgisayarı, kurulumu ve ayarları denetler; her sorunun çözümünü söyler.",
    en="Check this machine, the installation and the settings; names the remedy of every problem.",
)
DOCTOR_MORE = Text(
    tr="Sorun varsa çıkış kodu 1, yalnızca uyarı varsa 0 olur.", en="Exits with 1 on a problem, with 0 on warnings."
)
DOCTOR_REMEDY = Text(tr="çözüm: {remedy}", en="remedy: {remedy}")
DOCTOR_SUMMARY = Text(
    tr="{problems} sorun, {warnings} uyarı, {good} denetim temiz.",
    en="{problems} problems, {warnings} warnings, {good} checks clean.",
)

PYTHON_GOOD = Text(tr="Python {version}", en="Python {version}")
PYTHON_OLD = Text(
    tr="Python {version} çok eski; en az 3.11 gerekir.", en="Python {version} is too old; 3.11 is needed."
)
PYTHON_OLD_REMEDY = Text(
    tr="Python 3.11, 3.12 ya da 3.13 kurup `make setup` çalıştırın.",
    en="Install Python 3.11, 3.12 or 3.13 and run `make setup`.",
)
PYTHON_NEW = Text(
    tr="Python {version}: bu sürümle denenmedi (denenenler 3.11-3.13).",
    en="Python {version}: not tried with this version (tried are 3.11 to 3.13).",
)
PYTHON_NEW_REMEDY = Text(
    tr="Kurulumda sorun çıkarsa Python 3.13 kullanın.", en="If the installation fails, use Python 3.13."
)
MEMORY_GOOD = Text(tr="{total} MiB bellek, {available} MiB boş", en="{total} MiB of memory, {available} MiB free")
MEMORY_SMALL = Text(
    tr="{total} MiB bellek var; en az {needed} MiB gerekir.",
    en="There are {total} MiB of memory; {needed} MiB are needed.",
)
MEMORY_SMALL_REMEDY = Text(
    tr="Daha çok bellekli bir makine ya da kapsayıcı sınırı; inference.embedded.kv_cache_mib küçültülebilir.",
    en="A machine or container limit with more; inference.embedded.kv_cache_mib can be lowered.",
)
MEMORY_TIGHT = Text(
    tr="{total} MiB belleğin {available} MiB'ı boş; {needed} MiB gerekir.",
    en="Of {total} MiB of memory {available} MiB are free; {needed} MiB are needed.",
)
MEMORY_TIGHT_REMEDY = Text(tr="Çok bellek kullanan programları kapatın.", en="Close programs that use much memory.")
CACHE_GOOD = Text(
    tr="Önbellek klasörü yazılabilir: {path} ({free} MiB boş)",
    en="The cache folder can be written: {path} ({free} MiB free)",
)
CACHE_CLOSED = Text(
    tr="Önbellek klasörüne yazılamıyor: {path} ({reason})", en="The cache folder cannot be written: {path} ({reason})"
)
CACHE_CLOSED_REMEDY = Text(
    tr="Klasörün izinlerini düzeltin ya da TURKISH_AI_CACHE_DIR ile başka bir yer gösterin.",
    en="Mend its permissions, or name another place with TURKISH_AI_CACHE_DIR.",
)
DISK_FULL = Text(
    tr="{path} diskinde {free} MiB boş; temel modeli hazırlamak için {needed} MiB gerekir.",
    en="{free} MiB are free at {path}; preparing the base model needs {needed} MiB.",
)
DISK_FULL_REMEDY = Text(
    tr="Yer açın ya da TURKISH_AI_CACHE_DIR ile başka bir disk gösterin.",
    en="Free some room, or name another disk with TURKISH_AI_CACHE_DIR.",
)
DATA_DIR_GOOD = Text(tr="Veri klasörü yazılabilir: {path}", en="The data folder can be written: {path}")
DATA_DIR_CLOSED = Text(
    tr="Veri klasörüne yazılamıyor: {path} ({reason})", en="The data folder cannot be written: {path} ({reason})"
)
DATA_DIR_CLOSED_REMEDY = Text(
    tr="Klasörün izinlerini düzeltin ya da TURKISH_AI_DATA_DIR ile başka bir yer gösterin.",
    en="Mend its permissions, or name another place with TURKISH_AI_DATA_DIR.",
)
CONFIG_BAD_REMEDY = Text(
    tr="Dosyayı ya da değişkeni düzeltip `turkish-ai config check` ile denetleyin.",
    en="Mend the file or the variable, then run `turkish-ai config check`.",
)
BASE_GOOD = Text(tr="Temel model sağlam: {path}", en="The base model is sound: {path}")
BASE_MISSING = Text(tr="Temel model henüz hazır değil ({source}).", en="The base model is not prepared yet ({source}).")
BASE_MISSING_REMEDY = Text(
    tr="`turkish-ai setup` hazırlar; `turkish-ai serve` de ilk açılışta kendiliğinden hazırlar.",
    en="`turkish-ai setup` prepares it; so does the first `turkish-ai serve`.",
)
BASE_ALTERED = Text(
    tr="Temel modelin dosyaları değişmiş: {files} ({path})",
    en="Files of the base model were altered: {files} ({path})",
)
BASE_ALTERED_REMEDY = Text(
    tr="{path} klasörünü silin; `turkish-ai setup` yeniden hazırlar.",
    en="Delete {path}; `turkish-ai setup` makes it again.",
)
BASE_BAD_REMEDY = Text(
    tr="TURKISH_AI_BASE_MODEL değişkenini ya da base_model.source ayarını düzeltin.",
    en="Mend TURKISH_AI_BASE_MODEL or base_model.source.",
)
ADAPTER_FINE = Text(
    tr="{sector} adaptörü sağlam (sürüm {version})", en="The adapter of {sector} is sound (version {version})"
)
ADAPTER_UNPROVEN = Text(
    tr="{sector} adaptörü var (sürüm {version}); temel model olmadan tam denetlenemedi",
    en="The adapter of {sector} is there (version {version}); without the base model it cannot be checked whole",
)
ADAPTER_BAD = Text(
    tr="{sector} adaptörü kullanılamıyor: {reason}", en="The adapter of {sector} cannot be used: {reason}"
)
ADAPTER_ABSENT_REMEDY = Text(
    tr="`turkish-ai train {id}` ile eğitin ya da bir PEFT klasörünü adaptör klasörüne kopyalayın.",
    en="Train it with `turkish-ai train {id}`, or copy a PEFT directory to its folder.",
)
ADAPTER_BAD_REMEDY = Text(
    tr="`turkish-ai train {id} --force` ile yeniden eğitin ya da klasörü baştan kopyalayın.",
    en="Train it again with `turkish-ai train {id} --force`, or copy its folder again.",
)
ADAPTERS_ABSENT = Text(tr="Hiçbir sektörün adaptörü yok.", en="No sector has an adapter.")
ADAPTERS_ABSENT_REMEDY = Text(
    tr="`turkish-ai train --all` eğitir; o zamana dek temel model yanıtlar.",
    en="`turkish-ai train --all` makes them; until then the base model answers.",
)
ROUTER_GOOD = Text(tr="Yönlendirici hazır (sürüm {version})", en="The router is ready (version {version})")
ROUTER_MISSING = Text(tr="Yönlendirici henüz kurulmadı.", en="The router is not built yet.")
ROUTER_MISSING_REMEDY = Text(
    tr="`turkish-ai router build` kurar; `turkish-ai serve` de ilk açılışta kendiliğinden kurar.",
    en="`turkish-ai router build` builds it; so does the first `turkish-ai serve`.",
)
ROUTER_BAD = Text(tr="Yönlendirici kullanılamıyor: {reason}", en="The router cannot be used: {reason}")
ROUTER_BAD_REMEDY = Text(
    tr="`turkish-ai router build` ile yeniden kurun.", en="Build it again: `turkish-ai router build`."
)
PORT_FREE = Text(tr="{host}:{port} boş", en="{host}:{port} is free")
PORT_OURS = Text(
    tr="{host}:{port} adresinde sunucumuz çalışıyor (sürüm {version})",
    en="Our server runs at {host}:{port} (version {version})",
)
PORT_TAKEN = Text(tr="{host}:{port} başka bir programın kullanımında.", en="{host}:{port} is used by another program.")
PORT_TAKEN_REMEDY = Text(
    tr="O programı kapatın ya da `turkish-ai serve --port` (TURKISH_AI_PORT) ile başka bir port verin.",
    en="Stop it, or give another port: `turkish-ai serve --port` (TURKISH_AI_PORT).",
)
PORT_UNUSABLE = Text(tr="{host}:{port} dinlenemiyor ({reason}).", en="{host}:{port} cannot be listened on ({reason}).")
PORT_UNUSABLE_REMEDY = Text(
    tr="`turkish-ai serve --host ... --port ...` ile bu makinenin bir adresini ve 1024'ten büyük bir port verin.",
    en="Give an address of this machine and a port above 1024: `turkish-ai serve --host ... --port ...`.",
)
TORCH_CPU = Text(tr="torch {version} (işlemci için)", en="torch {version} (for processors)")
TORCH_CUDA = Text(tr="torch {version} (CUDA {cuda})", en="torch {version} (CUDA {cuda})")
TORCH_CUDA_UNUSED = Text(
    tr="torch {version} CUDA {cuda} için derlenmiş, bu makinede ise ekran kartı bulunamadı: çalışır, yalnızca birkaç "
    "GB fazla yer kaplar.",
    en="torch {version} is built for CUDA {cuda} and no GPU was found here: it works, it only takes some GB more.",
)
TORCH_CUDA_UNUSED_REMEDY = Text(
    tr="İsterseniz torch'un işlemci (CPU) derlemesini kurun.", en="Install torch's CPU build if the room matters."
)
TORCH_MISSING = Text(tr="torch kurulu değil.", en="torch is not installed.")
TORCH_MISSING_REMEDY = Text(tr="`make setup` kurar.", en="`make setup` installs it.")
