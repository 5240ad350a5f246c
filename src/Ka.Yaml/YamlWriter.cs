using System.Globalization;
using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace Ka.Yaml;

/// <summary>
/// Writes a YAML document through YamlDotNet's emitter. Texts are always double-quoted, so that no value is taken for another type
/// or enters the grammar.
/// </summary>
public static class YamlWriter
{
    /// <param name="value">A text, a number, a truth value, a list (<c>object[]</c>) or a mapping (<c>(string, object)[]</c>).</param>
    /// <exception cref="ArgumentException">Something else is in it.</exception>
    public static string Write(object value)
    {
        using var text = new StringWriter(CultureInfo.InvariantCulture) { NewLine = "\n" };
        // A folded line would be read back as the same, but not by every reader of cloud-init's time.
        var emitter = new Emitter(text, new EmitterSettings().WithBestWidth(int.MaxValue));
        emitter.Emit(new StreamStart());
        emitter.Emit(new DocumentStart(null, null, isImplicit: true));
        Emit(emitter, value);
        emitter.Emit(new DocumentEnd(isImplicit: true));
        emitter.Emit(new StreamEnd());
        return text.ToString();
    }

    static void Emit(Emitter emitter, object value)
    {
        switch (value)
        {
            case string text:
                emitter.Emit(new Scalar(AnchorName.Empty, TagName.Empty, text, ScalarStyle.DoubleQuoted, false, true));
                break;
            case bool truth:
                Plain(emitter, truth ? "true" : "false");
                break;
            case int number:
                Plain(emitter, number.ToString(CultureInfo.InvariantCulture));
                break;
            case (string, object)[] mapping:
                emitter.Emit(new MappingStart(AnchorName.Empty, TagName.Empty, true, MappingStyle.Block));
                foreach (var (key, item) in mapping)
                {
                    Emit(emitter, key);
                    Emit(emitter, item);
                }
                emitter.Emit(new MappingEnd());
                break;
            case object[] list:
                emitter.Emit(new SequenceStart(AnchorName.Empty, TagName.Empty, true, SequenceStyle.Block));
                foreach (var item in list)
                {
                    Emit(emitter, item);
                }
                emitter.Emit(new SequenceEnd());
                break;
            default:
                throw new ArgumentException($"{value.GetType()} is no YAML value", nameof(value));
        }
    }

    static void Plain(Emitter emitter, string text) =>
        emitter.Emit(new Scalar(AnchorName.Empty, TagName.Empty, text, ScalarStyle.Plain, true, false));
}
